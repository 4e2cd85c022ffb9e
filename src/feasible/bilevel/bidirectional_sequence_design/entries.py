"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

_HERE = "feasible.bilevel.bidirectional_sequence_design"
_PAPER = "bidirectional-sequence-design"


def _entry(
    name: str,
    target: str,
    summary: str,
    paper: str | None = None,
    peer: bool = False,
    **settings: object,
) -> Entry:
    """A method for sequences."""
    return Entry(
        name,
        f"{_HERE}.{target}",
        "bilevel",
        paper,
        "SequenceDesign",
        peer=peer,
        settings=settings,
        summary=summary,
        example="generated-8mers",
    )


METHODS = (
    _entry("bib", "run:BIB", "bidirectional design whose weight follows other models", _PAPER),
    _entry("bdi", "run:BIB", "bidirectional design, both losses alike", _PAPER, mode="bdi"),
    _entry("bib-forward", "run:BIB", "the forward loss alone", _PAPER, mode="forward"),
    _entry("bib-backward", "run:BIB", "the backward loss alone", _PAPER, mode="backward"),
    _entry(
        "bib-adaptive",
        "run:BIB",
        "bidirectional design whose weight and step follow other models",
        _PAPER,
        adaptive_lr=True,
    ),
    _entry("random-sequences", "baselines:RandomSequences", "uniform random sequences"),
    _entry(
        "one-hot-ranking", "baselines:Ranking", "the best of all by ridge regression on letters"
    ),
    _entry(
        "head-ranking", "baselines:Ranking", "the best of all by the forward head", model="head"
    ),
    _entry("ranked-mutants", "baselines:Mutants", "mutants of the best, by the forward head"),
    _entry("genetic-sequences", "baselines:Genetic", "a genetic search on the forward head"),
    _entry("cnn-ascent", "baselines:ProxyAscent", "gradient ascent on a convolutional network"),
    _entry(
        "cnn-ascent-adaptive",
        "baselines:ProxyAscent",
        "the same with a step that follows other networks",
        adaptive_lr=True,
    ),
    _entry(
        "coms",
        "baselines:ProxyAscent",
        "conservative objective models: the network is kept low where an ascent leads",
        conservative=0.5,
    ),
    _entry("sequence-cma", "peers:SequenceCMA", "CMA-ES on logits, by the forward head", peer=True),
)
CLAIM = "feasible.bilevel.bidirectional_sequence_design.claim:claim"
PROBLEMS = tuple(
    Entry(name, f"{_HERE}.instances:{factory}", "bilevel", _PAPER, "SequenceDesign")
    for name, factory in (
        ("tfbind8", "tfbind8"),
        ("generated-10mers", "generated"),
        ("generated-8mers", "small_landscape"),
        ("ehrlich-32", "ehrlich_32"),
        ("ehrlich-16", "ehrlich_dna"),
    )
)
