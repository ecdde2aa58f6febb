from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeroberta.data.delimited import csv_rows, lines, separator, tsv_rows
from edgeroberta.errors import DataError

# The csv module of Python 3.10 refuses to write NUL; reading it is tested on its own.
CELLS = st.text(alphabet=st.sampled_from('ab,"\n\r \t\u2028\x85é😀'), max_size=6)


def physical(text: str) -> Iterator[str]:
    """Cut text after each newline, and nowhere else."""
    return iter(io.StringIO(text, newline="\n"))


@given(st.lists(st.lists(CELLS, min_size=2, max_size=3), max_size=5))
def test_what_the_csv_module_writes_is_read_back(rows):
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    assert [fields for _, fields in csv_rows(physical(written.getvalue()), "x.csv")] == rows


def test_each_csv_row_knows_the_line_it_starts_on():
    text = 'a,b\r\n"one\ntwo\r\nthree",1\n\n"x",\n,last'
    assert list(csv_rows(physical(text), "x.csv")) == [
        (1, ["a", "b"]),
        (2, ["one\ntwo\r\nthree", "1"]),
        (6, ["x", ""]),
        (7, ["", "last"]),
    ]


@pytest.mark.parametrize("end", ["", "\n", "\r", "\r\n"])
@pytest.mark.parametrize("last", ["1", "12", ""])
def test_a_carriage_return_alone_ends_a_row(end, last):
    rows = [fields for _, fields in csv_rows(physical(f"a\r{last}{end}"), "x.csv")]
    assert rows == [["a"], [last]] if last else rows == [["a"]]


def test_a_quote_inside_an_unquoted_field_is_an_ordinary_character():
    assert list(csv_rows(physical('5" nails,1\n'), "x.csv")) == [(1, ['5" nails', "1"])]


def test_nul_and_the_line_ends_of_unicode_are_text():
    assert list(csv_rows(physical("a\0b,\x85\u2028\n"), "x.csv")) == [(1, ["a\0b", "\x85\u2028"])]
    assert list(tsv_rows(physical("a\0b\t\x85\u2028\n"), "x")) == [(1, ["a\0b", "\x85\u2028"])]


def test_an_empty_quoted_field_is_a_row_and_an_empty_line_is_not():
    assert list(csv_rows(physical('a\n""\n\nb\n'), "x.csv")) == [(1, ["a"]), (2, [""]), (4, ["b"])]


def test_quotes_in_tab_separated_text_are_literal():
    assert list(tsv_rows(physical('"good\t1\r\n\r\nbad"\t0'), "x")) == [
        (1, ['"good', "1"]),
        (3, ['bad"', "0"]),
    ]


def test_lines_are_cut_at_newlines_only():
    assert list(lines(physical("a\u2028b\n\nc\r\n"))) == [(1, "a\u2028b"), (3, "c")]


def test_a_first_line_with_more_tabs_than_commas_is_tab_separated():
    for header in (True, False):
        assert separator("a, b\tc\td\ne,f,g,h", header=header) == "\t"
        assert separator("a,b\tc\n", header=header) == ","
        assert separator("a\n\tb", header=header) == ","


def test_a_header_with_more_semicolons_is_of_semicolon_separated_text():
    assert separator("text;label, or so;id", header=True) == ";"
    assert separator('"a;b;c",label', header=True) == ","
    assert separator("well; now; then,1", header=False) == ","
    assert list(csv_rows(physical('a,b;"c;""d"\r\ne;f'), "x", ";")) == [(1, ["a,b", 'c;"d']), (2, ["e", "f"])]


@pytest.mark.parametrize("field", ['"he said ""no"" once"', '"""a"', '"""a"""'])
def test_tsv_written_with_quotes_is_refused(field):
    with pytest.raises(DataError, match="x:2: quotes around a field and twice within, as in CSV"):
        list(tsv_rows(["text\tlabel\n", f"{field}\t1\n"], "x"))


@pytest.mark.parametrize("field", ['"good"', '"', '""', '"a" and "b"', 'a ""b""', '"Well," he said. "Yes."'])
def test_quotes_that_texts_have_stay_in_tsv(field):
    assert list(tsv_rows([f"{field}\t1\n"], "x")) == [(1, [field, "1"])]


def test_an_unterminated_quote_is_reported_where_it_is_opened():
    with pytest.raises(DataError, match=r"^x\.csv:3: a quote is opened and never closed\n"):
        list(csv_rows(physical('a,b\n1,2\n"oops,3\n4,5\n'), "x.csv"))


def test_an_unterminated_quote_in_a_long_file_is_found_in_linear_time():
    started = time.perf_counter()
    with pytest.raises(DataError, match="never closed"):
        list(csv_rows(physical('"' + 'a""b\n' * 200_000), "x.csv"))
    assert time.perf_counter() - started < 5


def test_text_after_a_closing_quote_is_refused():
    with pytest.raises(DataError, match=r"^x\.csv:1: text after the closing quote of a field\n"):
        list(csv_rows(physical('"a"b,c\n'), "x.csv"))
