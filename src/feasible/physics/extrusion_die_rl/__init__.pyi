from .agent import DiePolicy as DiePolicy, train_die as train_die
from .dies import Die as Die, channel_die as channel_die, split_die as split_die
from .env import DieEnv as DieEnv, die_channel as die_channel, die_split as die_split
from .ffd import FFD as FFD
from .flow import Flow as Flow, StokesSolver2D as StokesSolver2D
from .pictures import die_frames as die_frames
from .problem import DieTask as DieTask
from .training import DieAgent as DieAgent
