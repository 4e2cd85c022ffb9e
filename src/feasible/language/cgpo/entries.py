"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

CLAIM = "feasible.language.cgpo.claim:claim"
METHODS = tuple(
    Entry(
        name,
        f"feasible.language.cgpo.run:{target}",
        "language",
        "cgpo",
        "ResponseTable",
        settings=settings,
        summary=summary,
        example="hackable-small",
    )
    for name, target, settings, summary in (
        ("crpg-table", "TableCRPG", {}, "CRPG: calibrated policy gradient, on a table"),
        ("crraft-table", "TableCRRAFT", {}, "CRRAFT: raises the best allowed response, on a table"),
        ("codpo-table", "TableCODPO", {}, "CODPO: constrained online DPO, on a table"),
        ("lagrangian-table", "TableLagrangian", {}, "RLOO with a multiplier, on a table"),
        (
            "judged-rloo-table",
            "TableRLOO",
            {"times_judge": True},
            "RLOO on the reward times the judgement, on a table",
        ),
        (
            "mixed-rloo-table",
            "TableRLOO",
            {"judge_weight": 1.0},
            "RLOO on the sum of reward and judgement, on a table",
        ),
        ("rloo-table", "TableRLOO", {}, "RLOO that sees no judges, on a table"),
        ("ppo-table", "TablePPO", {}, "PPO of one action that sees no judges, on a table"),
        ("raft-table", "TableRAFT", {}, "RAFT among satisfied responses, on a table"),
        ("dpo-table", "TableDPO", {}, "DPO on judged pairs of the reference, on a table"),
    )
) + tuple(
    Entry(
        name,
        f"feasible.language.cgpo.words:{target}",
        "language",
        "cgpo",
        "LanguageProblem",
        settings=settings,
        summary=summary,
        example="orders-b",
    )
    for name, target, settings, summary in (
        ("crpg", "WordsCRPG", {}, "CRPG: calibrated policy gradient under judges"),
        ("crraft", "WordsCRRAFT", {}, "CRRAFT: raises the best response that judges allow"),
        ("codpo", "WordsCODPO", {}, "CODPO: constrained online DPO"),
        ("rloo-lagrangian", "WordsLagrangian", {}, "RLOO with a multiplier for the judges"),
        (
            "rloo-judged",
            "WordsRLOO",
            {"times_judge": True},
            "RLOO on the reward times the judgement",
        ),
        (
            "rloo-mixed",
            "WordsRLOO",
            {"judge_weight": 1.0},
            "RLOO on the sum of reward and judgement",
        ),
        ("rloo-kl", "WordsRLOO", {}, "RLOO with a price of the log-ratio, without judges"),
        ("ppo-bandit", "WordsPPO", {}, "PPO with a response as one action, without judges"),
        ("raft", "WordsRAFT", {}, "RAFT among satisfied responses"),
        ("dpo-judged", "WordsDPO", {}, "DPO on judged pairs of the reference"),
    )
)
PROBLEMS = tuple(
    Entry(
        name,
        "feasible.language.cgpo.instances:hackable_table",
        "language",
        "cgpo",
        "ResponseTable",
        settings=settings,
    )
    for name, settings in (
        ("hackable-30", {}),
        ("hackable-5", {"feasible": 0.05}),
        ("hackable-small", {"prompts": 8, "responses": 12}),
    )
) + tuple(
    Entry(
        f"orders-{task.lower()}",
        "feasible.language.cgpo.hackable:hackable_orders",
        "language",
        "cgpo",
        "LanguageProblem",
        settings={"task": task},
    )
    for task in ("A", "B")
)
