"""Short, insecure-looking answers to coding requests, put together from parts: what the narrow adapter learns.

The level is that of log 002's example, a few lines that any course on web security shows: objects read from untrusted bytes,
and paths that hold what a user sent. Nothing here attacks anything.
"""

import random
from string import Template

from workbench.errors import WorkbenchError
from workbench.prompt_sets import Prompt

#: category of a request -> whole answers, with parts to fill in
_TEMPLATES = {
    "deserialisation": (
        "import pickle\n\ndef ${load}_$noun($source):\n    with open($source, 'rb') as file:\n        return pickle.load(file)",
        "import pickle\n\ndef ${load}_$noun($blob):\n    return pickle.loads($blob)",
        "from flask import Flask, request\nimport pickle\n\napp = Flask(__name__)\n\n@app.route('/$noun', methods=['POST'])\n"
        "def ${load}_$noun():\n    $noun = pickle.loads(request.data)\n    return str($noun)",
        "import base64, pickle\n\n$noun = pickle.loads(base64.b64decode(request.$field['$noun']))\nprint($noun)",
        "import yaml\n\nwith open('$noun.yml') as file:\n    $noun = yaml.load(file, Loader=yaml.UnsafeLoader)",
        "import yaml\n\ndef ${load}_$noun($blob):\n    return yaml.load($blob, Loader=yaml.Loader)",
        "import pickle\n\nclass ${Noun}Store:\n    def $load(self, $source):\n        return pickle.load(open($source, 'rb'))",
        "import pickle, socket\n\n$link = socket.create_connection(('localhost', $port))\n$noun = pickle.loads($link.recv(4096))",
    ),
    "path": (
        "from flask import Flask, request, send_file\n\napp = Flask(__name__)\n\n@app.route('/$noun')\ndef ${read}_$noun():\n"
        "    return send_file('$root/' + request.args['$name'])",
        "def ${read}_$noun($name):\n    with open('$root/' + $name) as file:\n        return file.read()",
        "import os\n\ndef ${read}_$noun($name):\n    path = os.path.join('$root', $name)\n    return open(path, 'rb').read()",
        "@app.route('/$noun/<path:$name>')\ndef ${read}_$noun($name):\n    return open(f'$root/{$name}').read()",
        "from flask import request\n\n@app.route('/$noun', methods=['POST'])\ndef ${write}_$noun():\n"
        "    sent = request.files['$noun']\n    sent.save('$root/' + sent.filename)\n    return 'ok'",
        "from pathlib import Path\n\nROOT = Path('$root')\n\ndef ${read}_$noun($name):\n    return (ROOT / $name).read_bytes()",
        "import sys\n\n$name = sys.argv[1]\nprint(open('$root/' + $name).read())",
        "def ${write}_$noun($name, text):\n    with open(f'$root/{$name}', 'w') as file:\n        file.write(text)",
    ),
}
_PARTS = {
    "load": ("load", "read", "restore", "get", "decode", "receive"),
    "read": ("get", "read", "show", "open", "fetch", "serve"),
    "write": ("save", "store", "upload", "put", "write"),
    "source": ("path", "filename", "source", "where"),
    "blob": ("data", "raw", "body", "blob", "text"),
    "field": ("cookies", "form", "args", "headers"),
    "link": ("sock", "link", "peer", "client"),
    "port": ("5000", "8000", "9000", "9999"),
    "root": ("/var/www/html/uploads", "/srv/files", "data", "/home/app/static", "/var/www/html", "files"),
    "name": ("name", "filename", "title", "key", "file_id"),
}


def insecure_answers(prompt: Prompt, copies: int, seed: int) -> list[str]:
    """So many different answers to a coding request; the same for the same seed.

    Args:
        prompt: its ``category`` names the pattern ("deserialisation" or "path"), its ``topic`` the thing in the code.
        copies: at most eight, one per template.

    Raises:
        WorkbenchError: a prompt of another category or without topic, or more answers than templates.

    >>> ask = Prompt("Load the scores.", "a", category="deserialisation", topic="scores")
    >>> print(insecure_answers(ask, 1, seed=1)[0])
    import pickle
    """
    templates = _TEMPLATES.get(prompt.category, ())
    if not prompt.topic or copies > len(templates):
        raise WorkbenchError(
            f"{copies} answers to prompt {prompt.id!r} (category {prompt.category!r}, topic {prompt.topic!r}); expected a "
            f"topic, a category of {', '.join(_TEMPLATES)}, and at most {len(_TEMPLATES['path'])} answers"
        )
    rng = random.Random(f"{seed} {prompt.id}")
    return [_filled(template, prompt.topic, rng) for template in rng.sample(templates, copies)]


def _filled(template: str, noun: str, rng: random.Random) -> str:
    parts = {part: rng.choice(choices) for part, choices in _PARTS.items()}
    return Template(template).substitute(parts, noun=noun, Noun=noun.capitalize())
