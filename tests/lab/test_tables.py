"""Tables go out to people and come back as their spreadsheets write them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from tables_kit import mix, mix_study, rows, tell

import feasible
from feasible.blackbox.space import Categorical, Real
from feasible.core import errors
from feasible.core.ledger import ABANDONED, CHECKED, FAILED, INFEASIBLE, PENDING
from feasible.core.registry import load_method
from feasible.lab.store import Store
from feasible.lab.study import Study
from feasible.lab.tables import headings, read_csv, records, to_csv, to_json


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return mix_study(tmp_path)


# -- out -------------------------------------------------------------------------------------------


def test_the_headings_are_names_with_units(study):
    assert headings(study) == [
        "id",
        "temperature [degC]",
        "cycles",
        "solvent",
        "yield [%]",
        "stress [MPa]",
        "stable",
        "status",
        "note",
    ]


def test_a_table_has_a_row_for_each_experiment_with_empty_cells_to_fill(study):
    asked = study.ask(3)
    table = list(csv.DictReader(io.StringIO(to_csv(study, asked))))
    assert [r["id"] for r in table] == ["0", "1", "2"]
    assert all(
        r["yield [%]"] == r["stress [MPa]"] == r["stable"] == r["status"] == "" for r in table
    )
    assert all(r["solvent"] in ("DMAc", "CHCl3") and r["cycles"] in "12345678" for r in table)
    assert [float(r["temperature [degC]"]) for r in table] == [r.x[0] for r in asked]


def test_the_json_table_is_by_name(study):
    (row,) = study.ask()
    (record,) = json.loads(to_json(study, [row]))
    assert set(record) == {"id", "temperature", "cycles", "solvent", "yield", "stress", "stable"}
    assert [record] == records(study, [row])


def test_no_cell_that_goes_out_is_a_formula(tmp_path):
    problem = mix(
        variables=[
            Real("=cmd|' /C calc'!A0", 0, 1),
            Categorical("s", ["=1+1", "@SUM(A1)", "-5", "+x", "plain"]),
        ]
    )
    study = Study.create(
        Store(tmp_path / "a.db"),
        problem,
        load_method("random-search"),
        feasible.Budget(evaluations=20),
    )
    asked = study.ask(12)
    asked[0].note = '=HYPERLINK("http://x")'
    for line in csv.reader(io.StringIO(to_csv(study, asked))):
        for cell in line:
            assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r") or float(cell) == float(cell)


def test_a_table_with_formula_like_names_and_choices_comes_back_as_it_was(tmp_path):
    problem = mix(
        variables=[Real("=x", 0, 1), Categorical("s", ["=1+1", "@SUM(A1)", "-5", "'quoted"])]
    )
    study = Study.create(
        Store(tmp_path / "a.db"),
        problem,
        load_method("random-search"),
        feasible.Budget(evaluations=20),
    )
    asked = study.ask(8)
    text = to_csv(study, asked)
    table = list(csv.reader(io.StringIO(text)))
    for line in table[1:]:
        line[3:6] = ["50", "1", "yes"]
    out = io.StringIO()
    csv.writer(out).writerows(table)
    told, _ = tell(study, out.getvalue())
    assert len(told.rows) == 8
    assert [r.x for r in rows(study)] == [r.x for r in asked]


# -- in --------------------------------------------------------------------------------------------


def test_the_filled_table_is_taken_in_any_order_of_rows_and_columns(study):
    study.ask(3)
    told, warnings = tell(
        study, "stable,stress,id,yield\nyes,200,2,71\nno,100,0,50\nyes,300,1,80\n"
    )
    assert (sorted(told.rows), warnings) == ([0, 1, 2], [])
    assert [r.metrics["yield"] for r in rows(study)] == [50, 80, 71]
    assert study.best().id == 2


@pytest.mark.parametrize(
    "heading", ["yield [%]", "yield", "YIELD", "Yield [%]", " yield  [%] ", "yield (%)"]
)
def test_headings_are_read_with_and_without_units_and_in_any_case(study, heading):
    study.ask()
    tell(study, f"id,{heading},stress [MPa],stable\n0,71.5,200,true\n")
    assert rows(study)[0].metrics == {"yield": 71.5, "stress": 200.0, "stable": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        "id;yield;stress;stable\n0;71,5;200;ja\n",
        "id\tyield\tstress\tstable\n0\t71.5\t200\tJA\n",
        "\ufeffid,yield,stress,stable\r\n0,71.5,200,yes\r\n",
        'id,yield,stress,stable\n0,"71,5",200,1\n',
        "\n\nid,yield,stress,stable\n\n0,71.5,2e2,TRUE\n,,,\n\n",
        'id,yield,stress,stable\n"0"," 71.5 ","200","y"\n',
        "id,yield,stress,stable\n0.0,71.5,200.0,1.0\n",
    ],
)
def test_tables_are_read_as_spreadsheets_of_all_countries_write_them(study, tmp_path, text):
    study.ask()
    file = tmp_path / "results.csv"
    file.write_text(text, encoding="utf-8")
    reports, warnings = read_csv(study, file)
    study.tell(reports)
    assert warnings == []
    assert rows(study)[0].metrics == {"yield": 71.5, "stress": 200.0, "stable": 1.0}


def test_a_table_in_latin_1_is_read(study, tmp_path):
    study.ask()
    file = tmp_path / "r.csv"
    file.write_bytes("id,yield,stress,stable,note\n0,1,2,yes,größer\n".encode("latin-1"))
    reports, _ = read_csv(study, file)
    assert reports[0].note == "größer"


def test_empty_cells_are_not_measured_yet(study):
    study.ask(2)
    told, _ = tell(study, "id,yield,stress,stable\n0,,200,yes\n1,,,\n")
    assert (told.partial, told.rows) == ([0], [0])
    assert [r.status for r in rows(study)] == [CHECKED, PENDING]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("failed", FAILED),
        ("FAILED", FAILED),
        ("error", FAILED),
        ("infeasible", INFEASIBLE),
        ("abandoned", ABANDONED),
    ],
)
def test_the_status_column_says_what_became_of_an_experiment(study, status, code):
    study.ask()
    tell(study, f"id,status,note\n0,{status},pump broke\n")
    (row,) = rows(study)
    assert row.status == code
    assert row.note == "pump broke"


def test_rows_without_an_id_are_experiments_of_ones_own(study):
    told, _ = tell(
        study,
        "id,temperature,cycles,solvent,yield,stress,stable\n"
        ",50,3,DMAc,60,200,yes\n,55,4,CHCl3,65,200,yes\n",
    )
    assert told.rows == [0, 1]
    assert study.row.reserved == {}


def test_a_table_of_earlier_data_needs_no_id_column(study):
    told, _ = tell(
        study,
        "temperature [degC];cycles;solvent;yield [%];stress [MPa];stable\n50,5;3;DMAc;60;200;ja\n",
    )
    assert told.rows == [0]
    assert rows(study)[0].x == [50.5, 3, 0]


def test_an_own_failed_experiment_teaches_too(study):
    tell(study, "temperature,cycles,solvent,status,note\n50,3,DMAc,failed,boiled over\n")
    assert [r.status for r in rows(study)] == [FAILED]


def test_whole_numbers_are_cast(study):
    tell(study, "temperature,cycles,solvent,yield,stress,stable\n50,3.0,DMAc,60,200,yes\n")
    assert rows(study)[0].x[1] == 3


def test_extra_columns_are_kept_as_notes_with_a_warning(study):
    study.ask()
    _, warnings = tell(study, "id,yield,stress,stable,operator,lab book\n0,1,2,yes,Kim,p. 7\n")
    assert rows(study)[0].note == "operator=Kim; lab book=p. 7"
    assert len(warnings) == 2
    assert all("kept as a note" in w for w in warnings)


def test_a_near_miss_of_a_heading_is_an_error_that_names_it(study):
    study.ask()
    with pytest.raises(
        errors.TableError,
        match=r"unknown column 'yeild \[%\]': did you mean 'yield'\? Nothing was stored",
    ):
        tell(study, "id,yeild [%],stress,stable\n0,1,2,yes\n")
    assert rows(study)[0].status == PENDING


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty: expected a heading line"),
        ("\n \n", "is empty"),
        ("id,colour\n0,red\n", "none of the columns yield, stress, stable or status"),
        ("id,yield,yield [%],stress\n0,1,2,3\n", "column 'yield' twice"),
        ("id,yield\nseven,1\n", "line 2: id 'seven'"),
        ("id,yield\n1.5,1\n", "id '1.5'"),
        ("id,yield\n-1,1\n", "id '-1'"),
        ("id,yield\n9,1\n", "id 9 is not an experiment"),
        (
            "id,yield,stress,stable\n0,1,5,200,yes\n",
            "line 2: 5 cells, but 4 headings; with decimal commas",
        ),
        ("id,status\n0,exploded\n", "status 'exploded', expected one of"),
        (
            "temperature,cycles,solvent,yield\n50,3,water,1\n",
            "solvent = 'water': expected one of DMAc, CHCl3",
        ),
        (
            "temperature,cycles,solvent,yield\nhot,3,DMAc,1\n",
            "line 2, column 'temperature': 'hot' is not a number",
        ),
        ("temperature,cycles,yield\n50,3,1\n", "no value for solvent"),
        (
            "temperature,cycles,solvent,yield\n95,3,DMAc,1\n",
            r"temperature = 95 is outside \[20, 90\], by 5 past 90",
        ),
        ("temperature,cycles,solvent,yield\n50,3,DMAc,\n", "without any result"),
        ("id,yield\n0,1\n0,2\n", "lines 2, 3 with different values"),
        (",yield\n0,1\n", "own experiment|experiment of your own"),
    ],
)
def test_a_table_that_cannot_be_taken_is_an_error_and_nothing_is_stored(study, text, words):
    study.ask()
    before = rows(study)
    with pytest.raises(errors.TableError, match=words):
        tell(study, text)
    assert rows(study) == before


def test_a_missing_file_is_a_sentence(study, tmp_path):
    with pytest.raises(errors.TableError, match="No such file"):
        read_csv(study, tmp_path / "nowhere.csv")


def test_a_bad_line_at_the_end_undoes_the_good_ones_before_it(study):
    study.ask(2)
    with pytest.raises(errors.TableError, match="line 4"):
        tell(study, "id,yield,stress,stable\n0,1,2,yes\n1,1,2,yes\n9,1,2,yes\n")
    assert [r.status for r in rows(study)] == [PENDING, PENDING]


def test_what_comes_out_filled_goes_in_again_and_changes_nothing(study):
    study.ask(3)
    tell(study, "id,yield,stress,stable\n0,71.123456789012345,200,yes\n1,50,100,no\n2,80,300,yes\n")
    before = rows(study)
    told, _ = tell(study, to_csv(study, before))
    assert told.rows == []
    assert rows(study) == before


def test_notes_with_markup_and_quotes_survive(study):
    study.ask()
    tell(study, 'id,yield,stress,stable,note\n0,1,2,yes,"<b>a</b>, ""b"" [red]; ../x"\n')
    assert rows(study)[0].note == '<b>a</b>, "b" [red]; ../x'
