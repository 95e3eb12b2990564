"""What the authors' repository shows, from ``book/evidence.yml``: the file, the place, the value.

The file is the only place where these values are typed. A verdict is not among them: it comes from
comparing a value with what the paper states.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from lcc_utils.errors import RequestError
from lcc_utils.report.entries import read_entries

EVIDENCE_FILE = Path(__file__).resolve().parents[2] / "book" / "evidence.yml"

Value = float | str | None


class CodeFile(BaseModel):
    """A file of the repository.

    ``prints`` holds numbers of the paper, by claim, that the file's saved output shows: they tie
    the file to the paper.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(min_length=1)
    shows: str = Field(min_length=1)
    prints: dict[str, float] = {}


class CodeFinding(BaseModel):
    """What one place of a file does or prints.

    ``values`` holds, by claim, what stands there for what the paper states; null says that the
    place does not settle it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    file: str = Field(min_length=1)
    where: str = Field(min_length=1)
    finds: str = Field(min_length=1)
    values: dict[str, Value] = {}


@dataclass(frozen=True)
class Repository:
    """The authors' repository at one commit.

    Attributes
    ----------
    address, commit
        Where it is, and the commit that was read.
    files
        Its files by name.
    findings
        What was found in them.
    """

    address: str
    commit: str
    files: dict[str, CodeFile]
    findings: tuple[CodeFinding, ...]

    def about(self, claim: str) -> list[CodeFinding]:
        """Return what was found about a claim, by its id."""
        return [finding for finding in self.findings if claim in finding.values]

    def finding(self, name: str) -> CodeFinding:
        """Return a finding by its id.

        Raises
        ------
        RequestError
            If there is none of this id.
        """
        for found in self.findings:
            if found.id == name:
                return found
        raise RequestError(f"{EVIDENCE_FILE} holds no entry {name!r}.")

    def tied(self, finding: CodeFinding) -> bool:
        """Tell whether the finding's file prints a number of the paper."""
        return bool(self.files[finding.file].prints)

    def link(self, file: str) -> str:
        """Return the address of a file at the commit that was read."""
        return f"{self.address}/blob/{self.commit}/{file}"


def load_evidence(path: str | Path | None = None) -> Repository:
    """Read and check what the repository shows.

    Parameters
    ----------
    path
        The YAML file; by default ``book/evidence.yml`` of this checkout.

    Raises
    ------
    RequestError
        If the file is missing or not YAML, an entry is incomplete or has an unknown field, an id
        occurs twice, or an entry names a file that is not listed.
    """
    path = Path(path or EVIDENCE_FILE)
    files = {entry.file: entry for entry in read_entries(path, "files", CodeFile, "file")}
    findings = read_entries(path, "evidence", CodeFinding, "id")
    ids = [finding.id for finding in findings]
    for finding in findings:
        if ids.count(finding.id) > 1:
            raise RequestError(f"{path}: the entry {finding.id!r} is there twice; rename one.")
        if finding.file not in files:
            raise RequestError(
                f"{path}: {finding.id!r} names {finding.file!r}, which is not listed."
            )
    head = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name in ("repository", "commit"):
        if not isinstance(head.get(name), str):
            raise RequestError(f"{path} does not say its {name}; add it as text.")
    return Repository(head["repository"], head["commit"], files, tuple(findings))
