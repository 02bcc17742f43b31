"""The vocabulary: which id stands for what."""

from __future__ import annotations

import pytest

from latpred.errors import CardError
from latpred.primitive import Primitive
from latpred.vocabulary import MAX_TOKENS, Vocabulary

A, B, C, D = (Primitive(name, 8, 4, 4) for name in "abcd")
VOCABULARY = Vocabulary((A, C), ("edge 0", "edge 1"), (B, D))


def test_ids_count_primitives_then_tokens_then_extra():
    assert VOCABULARY.ids == {A: 0, C: 1, B: 4, D: 5}
    assert VOCABULARY.token_ids == {"edge 0": 2, "edge 1": 3}
    assert VOCABULARY.by_id == (A, C, "edge 0", "edge 1", B, D)
    assert len(VOCABULARY) == 6


def test_what_a_dataset_has_besides_comes_behind_in_sorted_order():
    space = Vocabulary((A, C), ("edge",))
    found = [D, A, B, D]
    assert space.with_extra(found).by_id == (A, C, "edge", B, D)
    assert found == [D, A, B, D]
    assert space.with_extra([C]) == space
    assert Vocabulary((A,), (), (C,)).with_extra([B]).extra == (B, C)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((C, A),), "must be sorted and distinct"),
        (((A, A),), "must be sorted and distinct"),
        (((A,), (), (D, B)), "must be sorted and distinct"),
        (((A, B), (), (B, C)), "the vocabulary holds b 8px 4->4 s1 k1 twice, in the space and beside it"),
        (((A,), ("t", "t")), "tokens must be distinct and at most 64, got 2"),
        (((A,), tuple(map(str, range(65)))), "tokens must be distinct and at most 64, got 65"),
    ],
)
def test_an_order_that_gives_no_ids_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(*arguments)


def test_the_most_tokens_are_allowed():
    assert len(Vocabulary((), tuple(map(str, range(MAX_TOKENS))))) == 64


def test_the_json_form_goes_there_and_back():
    values = VOCABULARY.to_dict()
    assert values["tokens"] == ["edge 0", "edge 1"]
    assert values["primitives"][1] == C.to_dict()
    assert Vocabulary.from_dict(values, "card") == VOCABULARY


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tokens": ["t", "t"]}, "card: expected a vocabulary, got: ValueError.*tokens must be distinct"),
        ({"extra": None}, "card: expected a vocabulary, got: TypeError"),
        ({"primitives": [{"prim_type": "a"}]}, "card: expected a primitive with spatial_size, C, C_out, found"),
        ({"primitives": [A.to_dict() | {"C": 0}]}, "card: primitive a: expected C to be an integer >= 1, found 0"),
    ],
)
def test_a_malformed_form_is_a_card_error(changed, message):
    with pytest.raises(CardError, match=message):
        Vocabulary.from_dict(VOCABULARY.to_dict() | changed, "card")


def test_a_missing_part_is_a_card_error():
    with pytest.raises(CardError, match=r"card: expected a vocabulary, got: KeyError.*'extra'"):
        Vocabulary.from_dict({"primitives": [], "tokens": []}, "card")
