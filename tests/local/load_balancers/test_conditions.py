"""Conditions of listener rules.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
"""

from typing import Any

import pytest

from local.load_balancers.conditions import met
from local.load_balancers.reading import condition
from local.load_balancers.request import Request


def holds(answer: dict[str, Any], **request: Any) -> bool:
    """Whether a request meets a condition, in the shape of DescribeRules."""
    values = {
        "method": "GET",
        "host": "example.com",
        "path": "/",
        "query": "",
        "headers": (),
        "source": "192.0.2.7",
    }
    return met(condition(answer), Request(**(values | request)))


def host(*values: str) -> dict[str, Any]:
    return {"Field": "host-header", "HostHeaderConfig": {"Values": list(values)}}


def path(*values: str) -> dict[str, Any]:
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": list(values)}}


def header(name: str, *values: str) -> dict[str, Any]:
    config = {"HttpHeaderName": name, "Values": list(values)}
    return {"Field": "http-header", "HttpHeaderConfig": config}


def query(*pairs: dict[str, str]) -> dict[str, Any]:
    return {"Field": "query-string", "QueryStringConfig": {"Values": list(pairs)}}


def source(*values: str) -> dict[str, Any]:
    return {"Field": "source-ip", "SourceIpConfig": {"Values": list(values)}}


class TestHost:
    def test_a_wildcard_does_not_match_the_parent_domain(self) -> None:
        """The rule *.example.com matches test.example.com but doesn't match example.com."""
        assert holds(host("*.example.com"), host="test.example.com")
        assert not holds(host("*.example.com"), host="example.com")

    def test_case_is_ignored(self) -> None:
        """A hostname is not case-sensitive."""
        assert holds(host("Example.com"), host="eXample.COM")

    def test_the_port_is_not_part_of_the_host_name(self) -> None:
        """Route based on the host name of each request."""
        assert holds(host("example.com"), host="example.com:8080")

    def test_a_question_mark_matches_exactly_one_character(self) -> None:
        """? (matches exactly 1 character)"""
        assert holds(host("a?.example.com"), host="ab.example.com")
        assert not holds(host("a?.example.com"), host="a.example.com")
        assert not holds(host("a?.example.com"), host="abc.example.com")

    def test_a_dot_is_no_wildcard(self) -> None:
        assert not holds(host("a.example.com"), host="abexample.com")

    def test_one_of_several_values_is_enough(self) -> None:
        """If you specify multiple strings, the condition is satisfied if one of them matches."""
        assert holds(host("a.com", "b.com"), host="b.com")

    def test_the_values_may_stand_beside_the_field(self) -> None:
        """You can specify a single host name in Values."""
        assert holds({"Field": "host-header", "Values": ["*.com"]}, host="example.com")


class TestPath:
    def test_case_matters(self) -> None:
        """A path pattern is case-sensitive."""
        assert holds(path("/img/*"), path="/img/picture.jpg")
        assert not holds(path("/img/*"), path="/IMG/picture.jpg")

    def test_the_query_is_not_part_of_the_path(self) -> None:
        """The path pattern is applied only to the path of the URL, not to its query parameters."""
        assert not holds(path("*x=1*"), path="/a", query="x=1")
        assert holds(path("/a"), path="/a", query="x=1")

    def test_a_star_also_matches_slashes_and_nothing(self) -> None:
        """* (matches 0 or more characters)"""
        assert holds(path("/img/*/pics"), path="/img/a/b/pics")
        assert holds(path("/img*"), path="/img")

    def test_a_pattern_must_match_the_whole_path(self) -> None:
        assert not holds(path("/img"), path="/img/picture.jpg")
        assert not holds(path("/img"), path="/a/img")

    def test_brackets_are_no_wildcards(self) -> None:
        """Only * and ? are listed as wildcard characters."""
        assert not holds(path("/[ab]"), path="/a")


class TestHeader:
    def test_case_is_ignored_in_name_and_value(self) -> None:
        """The header name and the match evaluation are not case-sensitive."""
        sent = (("user-AGENT", "Mozilla CHROME/1"),)
        assert holds(header("User-Agent", "*Chrome*", "*Safari*"), headers=sent)

    def test_each_line_of_a_repeated_header_is_searched(self) -> None:
        """If the same header appears multiple times in the request, we search them in order."""
        sent = (("X-A", "one"), ("X-A", "two"))
        assert holds(header("X-A", "two"), headers=sent)

    def test_a_missing_header_does_not_match_a_star(self) -> None:
        assert not holds(header("X-A", "*"))
        assert holds(header("X-A", "*"), headers=(("X-A", ""),))


class TestMethod:
    @pytest.mark.parametrize(
        ("method", "matches"), [("POST", True), ("post", False), ("P*", False)]
    )
    def test_the_method_must_be_an_exact_match(self, method: str, matches: bool) -> None:
        """The match evaluation is case-sensitive. Wildcard characters are not supported."""
        config = {"Values": ["POST", "CUSTOM-METHOD"]}
        answer = {"Field": "http-request-method", "HttpRequestMethodConfig": config}
        assert holds(answer, method=method) is matches


class TestQuery:
    CONDITION = query({"Key": "version", "Value": "v1"}, {"Value": "*example*"})

    @pytest.mark.parametrize(
        ("sent", "matches"),
        [
            ("version=v1", True),
            ("VERSION=V1", True),  # "The match evaluation is not case-sensitive."
            ("a=1&version=v1", True),
            ("version=v2", False),
            ("any=an%20example", True),  # "or any key set to 'example'"
            ("example=1", False),
            ("", False),
        ],
    )
    def test_a_pair_or_a_value_of_any_key_matches(self, sent: str, matches: bool) -> None:
        """Satisfied by "either a key/value pair of version=v1 or any key set to example"."""
        assert holds(self.CONDITION, query=sent) is matches

    def test_a_backslash_makes_a_wildcard_literal(self) -> None:
        """To search for a literal '*' or '?', you must escape these characters using '\\'."""
        assert holds(query({"Key": "a", "Value": "\\*b"}), query="a=*b")
        assert not holds(query({"Key": "a", "Value": "\\*b"}), query="a=xb")


class TestSource:
    def test_the_address_must_be_in_one_of_the_networks(self) -> None:
        """The IP address must be specified in CIDR format. You can use both IPv4 and IPv6."""
        networks = source("192.0.2.0/24", "198.51.100.10/32", "2001:db8::/32")
        assert holds(networks, source="192.0.2.7")
        assert holds(networks, source="2001:db8::1")
        assert not holds(networks, source="198.51.100.11")

    def test_x_forwarded_for_does_not_count(self) -> None:
        """This condition is not satisfied by the addresses in the X-Forwarded-For header."""
        sent = (("X-Forwarded-For", "192.0.2.7"),)
        assert not holds(source("192.0.2.0/24"), source="127.0.0.1", headers=sent)


def test_an_unknown_condition_is_never_met() -> None:
    assert not holds({"Field": "new-in-2031", "Values": ["*"]})


class TestRegex:
    def test_a_regex_may_match_a_part_of_the_path(self) -> None:
        """You can use value matching or regular expression (regex) matching."""
        answer = {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/api/(v[12])$"]}}
        assert holds(answer, path="/api/v2")
        assert not holds(answer, path="/api/v3")

    def test_a_host_regex_ignores_case(self) -> None:
        answer = {"Field": "host-header", "HostHeaderConfig": {"RegexValues": ["^a[0-9]+\\.com$"]}}
        assert holds(answer, host="A12.com")

    def test_a_header_regex_is_compared_with_its_value(self) -> None:
        config = {"HttpHeaderName": "X-A", "RegexValues": ["^v\\d+$"]}
        answer = {"Field": "http-header", "HttpHeaderConfig": config}
        assert holds(answer, headers=(("x-a", "v12"),))
        assert not holds(answer, headers=(("x-a", "v"),))

    @pytest.mark.parametrize(
        ("regex", "text", "matches"),
        [
            ("^/(?<id>[a-z]+)\\z", "/abc", True),
            ("^/\\x{41}$", "/A", True),
            ("^/\\\\z", "/\\z", True),
            ("(?i)^/ABC$", "/abc", True),
            ("[", "/[", False),  # AWS would have refused it; it must not stop the others
        ],
    )
    def test_the_syntax_is_perls(self, regex: str, text: str, matches: bool) -> None:
        answer = {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": [regex]}}
        assert holds(answer, path=text) is matches

    def test_the_regexes_may_stand_beside_the_field(self) -> None:
        """RegexValues: The regular expressions to match against the condition field."""
        assert holds({"Field": "path-pattern", "RegexValues": ["^/a"]}, path="/abc")
