"""The setting JOB_NOTIFY."""

import pytest

from api_server.domain.notification import NotifyDefaults
from api_server.domain.notify_setting import parse_notify


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a.example/hook", NotifyDefaults("https://a.example/hook")),
        ("https://a.example/?b=c&d=e", NotifyDefaults("https://a.example/?b=c&d=e")),
        ("never", NotifyDefaults()),
        ("compute=https://a.example/?b=c", NotifyDefaults(None, {"compute": "https://a.example/?b=c"})),
        (
            " https://a.example , file = never, data=http://b.example ",
            NotifyDefaults("https://a.example", {"file": None, "data": "http://b.example"}),
        ),
    ],
)
def test_one_url_for_all_types_and_others_for_some(text: str, expected: NotifyDefaults) -> None:
    assert parse_notify(text) == expected
    assert parse_notify(text).of_type == expected.of_type


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a.example", "'a.example' must be never or an ASCII URL"),
        ("https://user@a.example/", "not the name|must be never"),
        ("compute=ftp://a.example", "'ftp://a.example' must be never"),
        ("compute=", "'' must be never"),
        ("", "'' must be never"),
        ("Bad Type=never", "'Bad Type' is not the name of a job type"),
        ("webhook-delivery=https://a.example", "nobody can be notified"),
        ("compute=never,compute=never", "names compute twice"),
        ("https://a.example,https://b.example", "at most one URL without a type"),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_notify(text)
