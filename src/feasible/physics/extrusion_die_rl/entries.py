"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

SLUG = "extrusion-die-rl"


def _agent(agent: str, strategy: str, steps: int) -> Entry:
    """An agent for dies."""
    return Entry(
        f"die-{agent}-{strategy}",
        "feasible.physics.extrusion_die_rl.training:DieAgent",
        "physics",
        SLUG,
        "DieTask",
        settings={"agent": agent, "strategy": strategy, "steps": steps},
        summary=f"{agent.upper()} of Stable-Baselines3, {strategy} actions",
        example="die-task-few",
    )


METHODS = (
    _agent("sac", "direct", 3000),
    _agent("ppo", "incremental", 10_000),
    _agent("dqn", "incremental", 10_000),
)
PROBLEMS = (
    Entry(
        "die-task",
        "feasible.physics.extrusion_die_rl.instances:die_task",
        "physics",
        SLUG,
        "DieTask",
    ),
    Entry(
        "die-task-few",
        "feasible.physics.extrusion_die_rl.instances:die_task",
        "physics",
        SLUG,
        "DieTask",
        settings={"targets": 2, "max_steps": 6, "name": "die-task-few"},
    ),
    Entry(
        "die-task-channel",
        "feasible.physics.extrusion_die_rl.instances:die_task",
        "physics",
        SLUG,
        "DieTask",
        settings={"die": "channel", "max_steps": 10, "name": "die-task-channel"},
    ),
    Entry(
        "die-share",
        "feasible.physics.extrusion_die_rl.instances:die_share",
        "physics",
        SLUG,
        "BlackBox",
    ),
    Entry(
        "die-channel",
        "feasible.physics.extrusion_die_rl.instances:die_channel_evenness",
        "physics",
        SLUG,
        "BlackBox",
    ),
)
CLAIM = "feasible.physics.extrusion_die_rl.claim:claim"
