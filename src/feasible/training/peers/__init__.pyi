from .packages import rex as rex, schedule_free_adamw as schedule_free_adamw
