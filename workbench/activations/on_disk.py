"""Where activations are kept on disk, so that a second look at the same texts reads no model.

One safetensors file per key in ``<store>/activations``. The key is a hash of all that decides its content: what is kept (one
vector per text, or their mean), model name, revision and dtype, the token ids of every text in order and where its response
begins, the site, and the positions read.
Batch size is not in it: another one changes the last bits of a float32 model. Files hold numbers, no text.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from workbench._errors import WorkbenchError
from workbench._errors.redaction import logger
from workbench._files import content_key, whole
from workbench.models.identity import revision_now
from workbench.models.model import Encoded, Model
from workbench.steering.positions import Positions
from workbench.steering.sites import Site

_LOG = logger(__name__)

#: Part of every key: raised when what is kept of the same texts would come out differently.
VERSION = 1


@dataclass(frozen=True)
class Shelf:
    """The cached activations of some texts in one model: ``get`` and ``put`` one site at a time.

    Attributes:
        folder: where the files lie.
        source: a hash of what their keys have in common.
    """

    folder: Path
    source: str

    @classmethod
    def of(cls, store: str | Path, model: Model, texts: Encoded, read: Positions, kind: str) -> "Shelf":
        """Those of texts read at some positions; ``kind`` says what is kept, "rows" or "mean"."""
        revision = revision_now(model)
        decided = [
            VERSION,
            kind,
            model.name,
            revision,
            str(model.dtype),
            str(read),
            texts.token_ids,
            texts.prompt_lengths,
        ]
        return cls(Path(store) / "activations", content_key(decided, length=64))

    def path(self, site: Site) -> Path:
        """The file of a site."""
        return self.folder / f"{hashlib.sha256(f'{self.source} {site}'.encode()).hexdigest()[:32]}.safetensors"

    def get(self, site: Site) -> tuple[torch.Tensor, float] | None:
        """What is kept for a site and the mean activation norm there; None where nothing is, or it cannot be read."""
        from safetensors import SafetensorError, safe_open

        path = self.path(site)
        if not path.is_file():
            return None
        try:
            with safe_open(str(path), framework="pt") as file:
                return file.get_tensor("values"), float.fromhex(file.metadata()["norm"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            _LOG.warning("%s cannot be read and is made again: %s", path, error)
            return None

    def put(self, site: Site, values: torch.Tensor, norm: float) -> None:
        """Keep something for a site, atomically. Raises WorkbenchError where the folder cannot be written."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        try:
            with whole(self.path(site)) as draft:
                save_file({"values": values.contiguous()}, draft, metadata={"norm": norm.hex(), "site": str(site)})
        except (OSError, SafetensorError) as error:
            raise WorkbenchError(
                f"activations could not be written to {self.folder}: {error}; make room, choose another store=, or "
                "leave store= out to keep nothing"
            ) from error
