from .attributes import (
    Attribute as Attribute,
    Case as Case,
    Frequency as Frequency,
    Keyword as Keyword,
    Paragraphs as Paragraphs,
    Sentences as Sentences,
    Soft as Soft,
    Start as Start,
    Words as Words,
    parse as parse,
)
from .conflicts import (
    ConflictReport as ConflictReport,
    contradictions as contradictions,
    resolve_conflicts as resolve_conflicts,
)
from .embedding import (
    CorrelationEncoder as CorrelationEncoder,
    EncoderSettings as EncoderSettings,
    TextEmbedding as TextEmbedding,
    triplet_loss as triplet_loss,
)
from .extraction import (
    ExtractionSettings as ExtractionSettings,
    extract_hard as extract_hard,
    keyword_weights as keyword_weights,
)
from .fluency import Trigrams as Trigrams, distinct as distinct
from .instances import stories_problem as stories_problem
from .pool import AttributePool as AttributePool, corpus_attributes as corpus_attributes
from .problem import AttributeControl as AttributeControl, attribute_control as attribute_control
from .reading import Reading as Reading, paragraphs as paragraphs, sentences as sentences
from .report import (
    CSRResult as CSRResult,
    Satisfaction as Satisfaction,
    csr as csr,
    keyword_list as keyword_list,
    macro as macro,
    satisfied as satisfied,
)
from .run import UltraGenRun as UltraGenRun
from .sampler import (
    AttributeSampler as AttributeSampler,
    SamplerSettings as SamplerSettings,
    Spread as Spread,
    spread as spread,
)
from .small import (
    StoryModelSettings as StoryModelSettings,
    StoryTokenizer as StoryTokenizer,
    prompt_of as prompt_of,
    story_model as story_model,
)
from .stories import (
    STORY_EXTRACTION as STORY_EXTRACTION,
    Story as Story,
    story_attributes as story_attributes,
    story_judge as story_judge,
    write_stories as write_stories,
)
from .training import (
    UltraGen as UltraGen,
    UltraGenSettings as UltraGenSettings,
    best_and_worst as best_and_worst,
)
