"""Job shops read from files and written to them."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from shops import shops

from feasible.core.errors import ArgumentError
from feasible.operations import JobShop, benchmark, known_optimum, read_shop, write_shop
from feasible.operations.documents import shop_data, shop_of_data, shop_of_table
from feasible.operations.formats import parse_shop, shop_text

STANDARD = "2 2\n0 3 1 2\n1 2 0 4\n"
TAILLARD = (
    "Nb of jobs, Nb of Machines\n2 2 840612802 398197754 7 7\nTimes\n3 2\n2 4\nMachines\n1 2\n2 1\n"
)


def test_both_text_formats_give_the_same_shop_and_say_how_they_were_read():
    one, other = parse_shop(STANDARD), parse_shop(TAILLARD)
    assert one.fingerprint() == other.fingerprint()
    assert one.read_as == "the standard text format, machines numbered from 0"
    assert other.read_as == "Taillard's text format, machines numbered from 1"
    assert one.read_as in "\n".join(one.outline())


def test_the_base_of_the_machines_numbers_is_detected():
    assert parse_shop("2 2\n1 3 2 2\n2 2 1 4\n").fingerprint() == parse_shop(STANDARD).fingerprint()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2 2\n0 3 1 2\n1 2 0\n", "line 3: expected pairs of machine and duration, got 3 numbers"),
        ("2 2\n0 3 1 2\n1 2 1 4\n", "line 3: .* their sum is 2 and not 1: machine 1 stands twice"),
        ("2 2\n0 3 1 2\n", "line 2: expected 2 rows of numbers for 2 jobs, got 1"),
        ("2 2\n0 3 1 2\n1 2 0 4\n0 1 1 1", "line 4: expected 2 rows"),
        ("2 2\n0 3 5 2\n1 2 0 4\n", "line 2: there is no machine 5 among 2 machines"),
        ("2 2\n0 3 2 2\n1 2 0 4\n", "line 2: machine 2, while another row has machine 0"),
        ("2 2\n0 3 1 -2\n1 2 0 4\n", "line 2: a duration of -2 is below 0"),
        ("2 2\n0 3 1 x\n1 2 0 4\n", "line 2: expected numbers, got a word"),
        ("2 3\n1 3 2 2\n2 2 1 4\n", "cannot be told whether the 3 machines"),
        ("0 2\n", "line 1: 0 jobs"),
        ("", "expected a line with the numbers of jobs and of machines"),
        ("2 2\nTimes\n3 2\n2 4\nMachines\n1 2\n2\n", "line 7: expected 2 numbers, got 1"),
    ],
)
def test_a_wrong_line_is_named(text, words):
    with pytest.raises(ArgumentError, match=words):
        parse_shop(text)


def test_one_of_several_shops_of_a_file_is_read_by_its_name():
    text = f"a collection\n instance one\n+++\n{STANDARD}\n instance two\n+++\n1 1\n0 5\n"
    assert parse_shop(text, "two").exact.tolist() == [5]
    with pytest.raises(ArgumentError, match="holds 2 shops: name one of one, two"):
        parse_shop(text)


@settings(max_examples=40, deadline=None)
@given(shops())
def test_json_written_and_read_is_the_same_shop(shop):
    assert shop_of_data(json.loads(json.dumps(shop_data(shop)))).fingerprint() == shop.fingerprint()


@pytest.mark.parametrize("ending", ["txt", "taillard", "json", "csv"])
def test_a_file_written_and_read_is_the_same_shop(ending, tmp_path):
    for shop in (benchmark("ft06"), known_optimum(5, 3, seed=1)):
        if ending == "taillard" and shop.name != "ft06":
            continue
        path = tmp_path / f"{shop.name}.{ending}"
        write_shop(shop, path, "taillard" if ending == "taillard" else "standard")
        assert read_shop(path).fingerprint() == shop.fingerprint()


def test_names_and_dates_survive_json_and_tables_and_are_refused_by_text_formats(tmp_path):
    own = JobShop(
        [["saw", "drill"], ["drill", "saw"]],
        [[3, 2.5], [2, 4]],
        jobs=["a", "b"],
        release={"b": 1.5},
        due={"a": 9},
    )
    for ending in ("json", "csv"):
        again = read_shop(write_shop(own, tmp_path / f"own.{ending}"))
        assert again.fingerprint() == own.fingerprint()
        assert (again.jobs, again.routes.names) == (own.jobs, own.routes.names)
    with pytest.raises(ArgumentError, match="has release dates, a text format has none"):
        shop_text(own)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("setup_times", "setup times between operations are not modelled"),
        ("breaks", "calendars and breaks of machines are not modelled"),
        ("alternatives", "optional operations and alternative machines are not modelled"),
        ("deu", "unknown key 'deu'"),
    ],
)
def test_what_is_not_modelled_is_refused_by_its_name(key, words):
    data = {"jobs": [{"operations": [{"machine": "a", "duration": 1}], key: 3}]}
    with pytest.raises(ArgumentError, match=words):
        shop_of_data(data)


def test_a_gap_in_a_table_is_named():
    table = pd.DataFrame(
        {"job": ["a", "a"], "operation": [1, 3], "machine": ["x", "y"], "duration": [1, 2]}
    )
    with pytest.raises(ArgumentError, match=r"job a has the operations .*: operation 2 is missing"):
        shop_of_table(table)
    with pytest.raises(ArgumentError, match="no column 'duration'"):
        shop_of_table(table[["job", "operation", "machine"]])
    with pytest.raises(ArgumentError, match="column 'setup_time': setup times"):
        shop_of_table(table.assign(setup_time=1))
    again = shop_of_table(table.assign(operation=[2, 1]))
    assert again.routes.names == ("y", "x")


def test_a_broken_file_is_an_error_of_ours(tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text('{"jobs": [\n')
    with pytest.raises(ArgumentError, match=r"broken.json line 2"):
        read_shop(broken)
    with pytest.raises(ArgumentError, match="No such file"):
        read_shop(tmp_path / "absent.txt")
