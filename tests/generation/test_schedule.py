"""The order of rows: every row is read once, runs that share layers by themselves, and conditions count as edits do."""

import torch
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.generation.schedule import Place, lowest_layer, place_rows, read_together

PLACES = st.builds(
    lambda prompt, start, layer: Place(30 - start > 1, layer if 30 - start > 1 else 0, 30, (prompt,), start),
    st.integers(0, 2),
    st.integers(0, 30),
    st.integers(0, 9),
)


def direction(layer):
    return wb.Direction(torch.ones(4), wb.resid_post(layer), "tiny")


def test_runs_that_share_layers_are_read_by_themselves_and_all_other_rows_together():
    def places(layer, rows, prompts):
        return sorted(Place(True, layer, 30, (i % prompts,), 0) for i in range(rows))

    few, shared, alone = places(1, 6, 2), places(4, 16, 4), places(7, 20, 20)
    assert read_together([]) == []
    assert read_together(shared) == [slice(0, 16)]
    assert read_together([*few, *shared, *alone]) == [slice(0, 6), slice(6, 22), slice(22, 42)]
    assert read_together([*few, *alone]) == [slice(0, 26)]
    sparse = sorted(Place(False, 0, 30, (i % 2,), 29) for i in range(60))
    assert read_together(sparse) == [slice(0, 60)]  # columns are shared there, whatever the layer


@given(st.lists(PLACES, max_size=60))
def test_every_row_is_read_once(rows):
    places = sorted(rows)
    parts = read_together(places)
    assert [i for part in parts for i in range(len(places))[part]] == list(range(len(places)))


def test_a_place_says_what_a_row_shares():
    early, late = wb.add(direction(3), 1), wb.add(direction(3), 1, on=wb.PROMPT[-1] | wb.RESPONSE)
    ids = tuple(range(7))
    assert place_rows([early, late, wb.Steer()], [ids] * 3) == [
        (True, 3, 7, ids, 0),
        (False, 0, 7, ids, 6),
        (False, 0, 7, ids, 7),
    ]
    assert lowest_layer(early.when(direction(1), above=0.0)) == 1
    assert lowest_layer(wb.add(direction(3), 0)) == 0
