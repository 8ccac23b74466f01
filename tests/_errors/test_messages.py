"""An error in a notebook is short: the line that the user wrote, and the message."""

import pytest

import workbench as wb


def test_a_notebook_shows_the_users_line_and_the_message(tmp_path):
    cell = tmp_path / "cell.py"
    cell.write_text("import workbench as wb\n\nwb.pairs('refsal')\n")
    with pytest.raises(wb.WorkbenchError) as raised:
        exec(compile(cell.read_text(), str(cell), "exec"), {})
    line, message = raised.value._render_traceback_()  # IPython shows what this returns instead of a traceback
    assert line == "line 3: wb.pairs('refsal')"
    assert message.startswith("WorkbenchError: unknown contrast set 'refsal'; did you mean 'refusal'?")
