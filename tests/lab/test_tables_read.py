"""Cells, headings and files are read as what they say, or refused; never as something else."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import openpyxl
import pytest
from tables_kit import mix, mix_study, rows, tell

from feasible.blackbox import BlackBox
from feasible.blackbox.space import Categorical, Real
from feasible.core import errors
from feasible.core.ledger import FAILED
from feasible.lab.study import Study
from feasible.lab.tables import read_table, to_xlsx
from feasible.lab.telling import StudyReport


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return mix_study(tmp_path)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1", 1),
        ("1,5", 1.5),
        ("-,5", -0.5),
        ("1e-3", 0.001),
        ("1,5E3", 1500),
        ("0,125", 0.125),
        ("1,2340", 1.234),
        ("1234,567", 1234.567),
        ("1.234", 1.234),
        ("−2", -2),
        ("5.", 5),
    ],
)
def test_numbers_are_read_as_people_write_them(study, cell, value):
    study.ask()
    tell(study, f'id,yield\n0,"{cell}"\n')
    assert rows(study)[0].metrics == {"yield": value}


UNREADABLE = [
    "41.5 %",
    "<5",
    "n/a",
    "nan",
    "inf",
    "150 nm",
    "1,234",
    "12,345",
    "1.234,56",
    "1,234.56",
    "1 234",
    "1\u00a0234",
    "1'234",
    "1_234",
    "1.234.567",
    "1,234,567",
    "2024-05-01",
    "yes",
    "1e999",
    "٣",
    "=1+1",
    "broken",
    "5-10",
    "5±1",
    ".",
    "-",
]


@pytest.mark.parametrize("cell", UNREADABLE)
def test_a_cell_that_is_no_number_or_could_be_two_is_refused_with_its_place(study, cell):
    study.ask(2)
    before = rows(study)
    with pytest.raises(errors.TableError, match=r"line 3, column 'yield'.*nothing was stored"):
        tell(study, f'id,yield,stress,stable\n0,50,100,yes\n1,"{cell}",200,yes\n')
    assert rows(study) == before


@pytest.mark.parametrize("cell", UNREADABLE)
def test_a_setting_that_is_no_number_or_could_be_two_is_refused_with_its_place(study, cell):
    with pytest.raises(errors.TableError, match=r"line 2, column 'cycles'.*nothing was stored"):
        tell(study, f'temperature,cycles,solvent,yield\n50,"{cell}",DMAc,1\n')
    assert rows(study) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id;yield;stress\n0;41,5;1.999\n", "'1.999' could be 1999 or 1.999: write 1999 or 1,9990"),
        ("id;yield;stress\n0;41,5;2.5\n", "'2.5', but '41,5' stands in .*same decimal mark"),
        ("id;yield;stress\n0;41.5;2,5\n", "'2,5', but '41.5' stands in"),
        ("id;yield;stress\n0;41.5;2,555\n", "'2,555' could be 2555 or 2.555"),
        ("id;yield;stress\n0;41;1.999\n", "'1.999' could be 1999 or 1.999"),
    ],
)
def test_one_file_has_one_decimal_mark(study, text, words):
    study.ask()
    with pytest.raises(errors.TableError, match=words):
        tell(study, text)
    assert rows(study)[0].metrics == {}


def test_three_digits_behind_a_mark_are_decimals_where_the_file_shows_its_mark(study):
    study.ask()
    tell(study, "id;yield;stress\n0;1,234;2,5\n")
    assert rows(study)[0].metrics == {"yield": 1.234, "stress": 2.5}


def test_the_word_failed_in_a_cell_of_results_says_that_the_experiment_failed(study):
    study.ask()
    _, warnings = tell(study, "id,yield,stress,note\n0,failed,100,gelled\n")
    assert (rows(study)[0].status, rows(study)[0].reason, warnings) == (FAILED, "gelled", [])


def test_words_beside_the_status_failed_are_kept_as_a_note(study):
    study.ask()
    tell(study, "id,yield,stress,status\n0,n/a,120,failed\n")
    (row,) = rows(study)
    assert (row.status, row.note, row.metrics) == (FAILED, "yield: n/a", {"stress": 120})


# -- units -----------------------------------------------------------------------------------------


@pytest.fixture
def sizes(tmp_path: Path) -> Study:
    problem = BlackBox(
        None,
        variables=[Real("temperature", 20, 90, unit="degC"), Real("dose", 0, 5, unit="mg/mL")],
        objective="yield",
        unit="%",
        limits={"size": "<= 200 nm", "shine": "<= 3 GU", "load": "<= 4", "ok": "is true"},
    )
    return mix_study(tmp_path, problem)


@pytest.mark.parametrize(
    ("heading", "cell", "name", "value"),
    [
        ("size [um]", "0.15", "size", 150),
        ("size (um)", "0.15", "size", 150),
        ("Size [µm]", "0.15", "size", 150),
        ("size [nm]", "150", "size", 150),
        ("size", "150", "size", 150),
        ("yield [percent]", "41.5", "yield", 41.5),
        ("yield [1]", "0.415", "yield", 41.5),
        ("shine [GU]", "2", "shine", 2),
        ("ok (yes/no)", "yes", "ok", 1),
    ],
)
def test_a_unit_in_a_heading_is_converted_to_the_studys(sizes, heading, cell, name, value):
    sizes.ask()
    tell(sizes, f"id,{heading}\n0,{cell}\n")
    assert rows(sizes)[0].metrics == {name: pytest.approx(value, rel=1e-14)}


def test_temperatures_convert_with_their_offset_and_doses_by_their_factor(sizes):
    tell(sizes, "temperature [K],dose [g/L],yield\n333.15,2,50\n")
    assert rows(sizes)[0].x == [60.0, 2.0]


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("size [mg]", "values in 'mg', but the study has size in 'nm'"),
        ("size (mean)", "values in 'mean', but the study has size in 'nm'"),
        ("shine [%]", "values in '%', but the study has shine in 'GU'"),
        ("load [kN]", "values in 'kN', but the study has load without a unit"),
        ("temperature [C]", "values in 'C', but the study has temperature in 'degC'"),
    ],
)
def test_a_unit_that_cannot_be_compared_is_an_error_naming_both(sizes, heading, words):
    sizes.ask()
    with pytest.raises(errors.TableError, match=re.escape(words)):
        tell(sizes, f"id,{heading},status\n0,1,\n")
    assert rows(sizes)[0].metrics == {}


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"sep=;\r\nid;yield;stress\r\n0;71,5;200\r\n",
        '\ufeff"sep=;"\r\nid;yield;stress\r\n0;71,5;200\r\n'.encode(),
        b"sep=|\nid|yield|stress\n0|71.5|200\n",
        "id,yield,stress\n0,71.5,200\n".encode("utf-16"),
        b"\xfe\xff" + "id\tyield\tstress\n0\t71.5\t200\n".encode("utf-16-be"),
        "id,yield,stress\n0,71.5,200\n".encode("utf-8-sig"),
    ],
)
def test_marks_and_separators_of_spreadsheets_are_understood(study, tmp_path, data):
    study.ask()
    (tmp_path / "r.csv").write_bytes(data)
    reports, warnings = read_table(study, tmp_path / "r.csv")
    study.tell(reports)
    assert warnings == []
    assert rows(study)[0].metrics == {"yield": 71.5, "stress": 200.0}


def test_a_line_is_counted_as_an_editor_counts_it(study):
    study.ask()
    text = 'sep=,\n\nid,yield,note\n0,1,"two\nlines"\n0,x,\n'
    with pytest.raises(errors.TableError, match="line 6, column 'yield'"):
        tell(study, text)


def workbook(tmp_path: Path, table, formats=None) -> Path:
    book = openpyxl.Workbook()
    for row in table:
        book.active.append(row)
    for place, form in (formats or {}).items():
        book.active[place].number_format = form
    book.save(tmp_path / "results.xlsx")
    return tmp_path / "results.xlsx"


def test_an_xlsx_file_is_read(study, tmp_path):
    study.ask(2)
    file = workbook(
        tmp_path,
        [
            ["id", "yield [%]", "stress [kPa]", "stable", "note", "batch"],
            [0, 71.5, 200_000, True, "fine", 7],
            [None] * 6,
            [1, "50,25", 1234.567, "no", None, None],
        ],
    )
    reports, _ = read_table(study, file)
    study.tell(reports)
    first, second = rows(study)
    assert first.metrics == {"yield": 71.5, "stress": 200.0, "stable": 1.0}
    assert first.note == "fine; batch=7"
    assert second.metrics == {"yield": 50.25, "stress": 1.234567, "stable": 0.0}


@pytest.mark.parametrize(
    ("value", "form", "words"),
    [
        (0.415, "0.0%", "'41.5000%' is not a number"),
        (datetime.date(2024, 5, 1), None, "'2024-05-01.*' is not a number"),
        ("=1+1", None, "formula without a stored value"),
        ("#N/A", None, "'#N/A' is not a number"),
        (True, None, "'True' is not a number"),
        ("1,234", None, "could be 1234 or 1.234"),
    ],
)
def test_a_cell_of_xlsx_that_is_no_plain_number_is_refused(study, tmp_path, value, form, words):
    study.ask()
    file = workbook(tmp_path, [["id", "yield"], [0, value]], {"B2": form} if form else None)
    with pytest.raises(errors.TableError, match=f"line 2, column.*{words}"):
        read_table(study, file)


def test_an_xlsx_table_goes_out_and_comes_back_as_it_was(tmp_path):
    problem = mix(variables=[Real("=x", 0, 1), Categorical("s", ["=1+1", "-5", "plain"])])
    study = mix_study(tmp_path, problem)
    asked = study.ask(6)
    (tmp_path / "out.xlsx").write_bytes(to_xlsx(study, asked))
    book = openpyxl.load_workbook(tmp_path / "out.xlsx")
    assert {c.data_type for row in book.active for c in row} <= {"s", "n"}
    for line in range(2, 8):
        for column, value in (("D", 50), ("E", 1), ("F", "yes")):
            book.active[f"{column}{line}"] = value
    book.save(tmp_path / "in.xlsx")
    reports, _ = read_table(study, tmp_path / "in.xlsx")
    assert len(study.tell(reports).rows) == 6
    assert [r.x for r in rows(study)] == [r.x for r in asked]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("r.xlsx", b"id,yield\n0,1\n", "cannot be read as .xlsx"),
        ("r.xlsx", b"PK\x03\x04rest", "cannot be read as .xlsx"),
        ("r.csv", b"PK\x03\x04rest", "is a spreadsheet by its content"),
        ("r.csv", b"id,yield\n0,\x00\n", "is not text"),
        ("r.csv", b"id,yield,note\n0,1," + b"x" * 131_073 + b"\n", "line 2: field larger"),
    ],
)
def test_a_file_that_is_no_table_is_a_typed_error(study, tmp_path, name, data, words):
    study.ask()
    (tmp_path / name).write_bytes(data)
    with pytest.raises(errors.TableError, match=words):
        read_table(study, tmp_path / name)


@pytest.mark.parametrize("identity", [2**63, 10**40, -1])
def test_an_id_beyond_what_a_database_holds_is_no_experiment(study, identity):
    study.ask()
    with pytest.raises(errors.TableError, match=f"id {identity} is not an experiment"):
        study.tell([StudyReport(identity, None, {"yield": 1.0})])
    with pytest.raises(errors.TableError, match="line 2: id"):
        tell(study, f"id,yield\n{identity},1\n")
