"""Series are read from what people have, and what cannot be learned from is refused by line."""

import gzip
import io
from pathlib import Path

import numpy as np
import pandas
import pytest

from charlm.errors import CorpusError, UsageError
from charlm.series.clock import Step
from charlm.series.columns import Asked
from charlm.series.reading import read_series, series_from

ROWS = 24


def months(first: int, last: int) -> list[str]:
    return [f"{1949 + n // 12}-{n % 12 + 1:02d}" for n in range(first, last)]


@pytest.fixture
def csv_of(tmp_path):
    def write(rows, header="month,sales", end="\n", name="sales.csv"):
        lines = [header] if header else []
        lines += [",".join(map(str, row)) if isinstance(row, tuple) else row for row in rows]
        path = tmp_path / name
        path.write_bytes((end.join(lines) + end).encode())
        return str(path)

    return write


def sales(count=ROWS):
    return list(zip(months(0, count), np.arange(count) ** 1.5, strict=True))


def test_a_csv_gives_its_numbers_and_its_months(csv_of):
    table = read_series(csv_of(sales()), Asked())
    assert table.names == ("sales",)
    assert np.allclose(table.values[:, 0], np.arange(ROWS) ** 1.5)
    assert table.clock.step == Step(months=1)
    assert table.clock.labels()[:2] == ["1949-01", "1949-02"]
    assert table.clock.following(2) == ["1951-01", "1951-02"]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_separators_and_decimal_commas_are_understood(csv_of, mark):
    rows = [mark.join([month, f"{value:.2f}".replace(".", ",")]) for month, value in sales()]
    table = read_series(csv_of(rows, header=mark.join(["month", "sales"])), Asked())
    assert np.allclose(table.values[:, 0], np.round(np.arange(ROWS) ** 1.5, 2))


def test_quotes_carriage_returns_a_mark_and_compression_do_no_harm(csv_of, tmp_path):
    rows = [f'"{month}","{value}"' for month, value in sales()]
    path = csv_of(rows, header='\ufeff"month","sales"', end="\r\n")
    plain = read_series(path, Asked())
    packed = tmp_path / "sales.csv.gz"
    packed.write_bytes(gzip.compress(Path(path).read_bytes()))
    assert np.array_equal(plain.values, read_series(str(packed), Asked()).values)
    assert plain.names == ("sales",)


def test_a_column_of_numbers_alone_needs_no_header(csv_of):
    table = read_series(csv_of([str(n % 7) for n in range(ROWS)], header=""), Asked())
    assert table.names == ("value",) and len(table) == ROWS and table.clock is None


def test_standard_input_is_read(monkeypatch):
    class Stream:
        buffer = io.BytesIO("\n".join(["x", *(str(n % 5) for n in range(ROWS))]).encode())

    monkeypatch.setattr("sys.stdin", Stream)
    assert read_series("-", Asked()).names == ("x",)


def test_npy_and_parquet_hold_series_too(tmp_path):
    values = np.arange(2 * ROWS, dtype=np.float32).reshape(ROWS, 2) ** 2
    np.save(tmp_path / "two.npy", values)
    assert np.array_equal(read_series(str(tmp_path / "two.npy"), Asked()).values, values)
    days = pandas.date_range("2020-02-27", periods=ROWS)
    frame = pandas.DataFrame({"day": days, "a": values[:, 0], "word": "x"})
    frame.to_parquet(tmp_path / "a.parquet")
    table = read_series(str(tmp_path / "a.parquet"), Asked())
    assert table.names == ("a",) and table.clock.labels()[2] == "2020-02-29"
    assert any("word" in note for note in table.notes)


def test_arrays_and_frames_are_series():
    frame = pandas.DataFrame(
        {"a": np.arange(ROWS), "b": np.arange(ROWS) % 3},
        index=pandas.period_range("2001-01", periods=ROWS, freq="M"),
    )
    table = series_from(frame, Asked())
    assert table.names == ("a", "b") and table.clock.step == Step(months=1)
    assert series_from(np.arange(ROWS), Asked()).names == ("value",)
    assert series_from(list(range(ROWS)), Asked()).values.shape == (ROWS, 1)
    with pytest.raises(UsageError, match="not dict"):
        series_from({"a": 1}, Asked())


def test_columns_are_chosen_by_name_and_a_typo_is_answered(csv_of):
    rows = [(month, value, value % 5) for month, value in sales()]
    path = csv_of(rows, header="month,sales,returns")
    assert read_series(path, Asked(("returns",))).names == ("returns",)
    with pytest.raises(CorpusError, match="no column 'retuns'") as caught:
        read_series(path, Asked(("retuns",)))
    assert "returns" in caught.value.hint


def test_missing_values_are_counted_and_filled_with_the_last_known(csv_of):
    rows = [(m, "NA" if n in (3, 4) else v) for n, (m, v) in enumerate(sales())]
    table = read_series(csv_of(rows), Asked())
    assert np.isnan(table.values[3:5]).all()
    assert (table.filled()[3:5] == table.values[2]).all()
    assert any("2 of 24 values are missing" in note for note in table.notes)


def test_months_that_are_left_out_become_missing_rows(csv_of):
    rows = sales(40)
    del rows[7]
    table = read_series(csv_of(rows), Asked())
    assert len(table) == 40 and np.isnan(table.values[7, 0])
    assert table.clock.labels()[7] == "1949-08"


def test_working_days_stay_what_they_are(csv_of):
    days = [str(day.date()) for day in pandas.bdate_range("2024-01-01", periods=60)]
    table = read_series(csv_of([(day, n % 9) for n, day in enumerate(days)]), Asked())
    assert len(table) == 60 and table.clock.step == Step(working_day=True)
    assert table.clock.following(1) == ["2024-03-25"]  # a Monday, after a Friday


BAD = {
    "word in a number column": (
        [(m, "many" if n == 5 else v) for n, (m, v) in enumerate(sales())],
        r"sales\.csv:7: column 'sales' holds 'many'",
    ),
    "constant": ([(m, 3) for m in months(0, ROWS)], "constant: each of its 24 values is 3"),
    "three rows": (sales(3), "3 rows; a series needs"),
    "nothing known": ([(m, "NaN") for m in months(0, ROWS)], "only missing values"),
    "out of order": (sales()[::-1], r"csv:3: the times in column 'month' are out of order"),
    "twice": (sales() + sales()[-1:], r"csv:26: the time 1950-12-01 in column 'month' comes twice"),
    "ragged": ([*sales(), "1951-01,3,4,5"], ":26: 4 fields where the first line has 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_series_is_refused_with_a_sentence(csv_of, name):
    rows, message = BAD[name]
    with pytest.raises(CorpusError, match=message):
        read_series(csv_of(rows), Asked())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n\xff\xfe,1\n", "not UTF-8"),
        (b"%PDF-1.4 and more", "a PDF document"),
        (b"a,b\nx,y\nz,w\n", "no column of numbers"),
    ],
)
def test_files_that_are_no_table_are_refused(tmp_path, data, message):
    path = tmp_path / "data.csv"
    path.write_bytes(data)
    with pytest.raises(CorpusError, match=message):
        read_series(str(path), Asked())


def test_a_file_that_is_not_there_and_a_directory_are_named(tmp_path):
    with pytest.raises(CorpusError, match="there is no file"):
        read_series(str(tmp_path / "none.csv"), Asked())
    with pytest.raises(CorpusError, match="is a directory"):
        read_series(str(tmp_path), Asked())


def test_npy_of_objects_or_three_dimensions_is_refused(tmp_path):
    np.save(tmp_path / "cube.npy", np.zeros((3, 3, 3)))
    with pytest.raises(CorpusError, match="3 dimensions"):
        read_series(str(tmp_path / "cube.npy"), Asked())
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    with pytest.raises(CorpusError, match=r"no \.npy file of numbers"):
        read_series(str(tmp_path / "words.npy"), Asked())


def test_commas_part_thousands_between_commas_and_decimals_elsewhere(csv_of):
    plain = [987 + 5 * n for n in range(ROWS)]
    rows = [f'"{value:,}"' for value in plain]
    assert read_series(csv_of(rows, header="price"), Asked()).values[:, 0].tolist() == plain
    rows = [f"{n};{n / 4:.2f}".replace(".", ",") for n in range(1, ROWS)]
    table = read_series(csv_of(rows, header="shop;price"), Asked(("price",)))
    assert table.values[3, 0] == 1.0
    rows = [f"x;{value:,}" for value in range(1_100, 1_100 + ROWS)]
    with pytest.raises(CorpusError, match="may be a decimal comma, or thousands"):
        read_series(csv_of(rows, header="shop;price"), Asked())


def test_a_column_that_counts_the_rows_is_left_out_and_told(csv_of):
    rows = [(n, (n * 7) % 5) for n in range(ROWS)]
    table = read_series(csv_of(rows, header="t,value"), Asked())
    assert table.names == ("value",) and "rows are left out: t" in table.notes[0]
    asked = Asked(("t", "value"))
    assert read_series(csv_of(rows, header="t,value"), asked).names == ("t", "value")


def test_words_like_may_and_jan_are_no_times(csv_of):
    rows = [(("may", "june", "april")[n % 3], n % 7) for n in range(ROWS)]
    table = read_series(csv_of(rows, header="city,value"), Asked())
    assert table.names == ("value",) and table.clock is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1,2"] * 20 + ["1,2,3"] + ["1,3"] * 9, ":22: 3 fields where the first line has 2"),
        (["1e300,2"] * 20 + ["3,4"] * 9, "numbers reach from 1e"),
    ],
)
def test_surplus_fields_and_huge_numbers_are_refused(csv_of, lines, message):
    with pytest.raises(CorpusError, match=message):
        read_series(csv_of(lines, header="a,b"), Asked())


def test_one_line_of_a_megabyte_is_refused(csv_of):
    with pytest.raises(CorpusError):
        read_series(csv_of(["x" * 1_000_000], header=""), Asked())


def test_frames_with_zones_or_clashing_names_are_read():
    days = pandas.date_range("2024-03-20", periods=ROWS, tz="Europe/Berlin")
    frame = pandas.DataFrame({"time": np.arange(ROWS) % 5}, index=days)
    table = series_from(frame, Asked())
    assert table.names == ("time",) and table.clock.following(1) == ["2024-04-13"]
    twice = pandas.DataFrame(np.ones((ROWS, 2)), columns=["a", "a"])
    with pytest.raises(UsageError, match="of one name"):
        series_from(twice, Asked())


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y%m%d"])
def test_dates_are_read_as_people_write_them(csv_of, form):
    days = pandas.date_range("2020-12-20", periods=ROWS)
    rows = [(day.strftime(form), n % 7) for n, day in enumerate(days)]
    table = read_series(csv_of(rows, header="date,value"), Asked())
    assert table.names == ("value",) and table.clock.following(1) == ["2021-01-13"]


@pytest.mark.parametrize("unit", [1, 1_000])
def test_seconds_since_1970_are_times(csv_of, unit):
    rows = [((1_600_000_000 + 60 * n) * unit, n % 7) for n in range(ROWS)]
    for asked in (Asked(), Asked(time="ts")):
        table = read_series(csv_of(rows, header="ts,load"), asked)
        assert table.names == ("load",) and table.clock.step == Step(microseconds=60_000_000)
        assert table.clock.following(1) == ["2020-09-13 12:50:40"]


def test_a_header_alone_and_tiny_numbers_are_refused(csv_of):
    with pytest.raises(CorpusError, match="a header and no rows"):
        read_series(csv_of([], header="a,b"), Asked())
    with pytest.raises(CorpusError, match="numbers reach from"):
        read_series(csv_of([f"{n % 7}e-300" for n in range(ROWS)], header="a"), Asked())


def test_parquet_comes_through_standard_input_too(monkeypatch):
    data = io.BytesIO()
    pandas.DataFrame({"a": np.arange(ROWS) % 5}).to_parquet(data)

    class Stream:
        buffer = io.BytesIO(data.getvalue())

    monkeypatch.setattr("sys.stdin", Stream)
    assert read_series("-", Asked()).names == ("a",)
