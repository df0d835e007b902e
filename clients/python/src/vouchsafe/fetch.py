"""Requests to the broker."""

import urllib.parse
import urllib.request


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could lead to an answer that isn't the broker's."""

    def redirect_request(self, *_):
        return None


class Resource:
    """A document of the broker with at most `bytes_max` bytes. Raises `ValueError` unless its URL is https."""

    def __init__(self, url, bytes_max, timeout_seconds):
        host = urllib.parse.urlsplit(url)
        if host.scheme != "https" and not (host.scheme == "http" and host.hostname in ("127.0.0.1", "::1", "localhost")):
            raise ValueError(f"`{url}` is not https")
        self._url, self._bytes_max, self._timeout = url, bytes_max, timeout_seconds
        self._opener = urllib.request.build_opener(NoRedirects)

    def fetch(self, **headers):
        """The body, and the headers of the response. Raises `OSError` or `ValueError`."""
        request = urllib.request.Request(self._url, headers=headers)
        with self._opener.open(request, timeout=self._timeout) as answer:
            body = answer.read(self._bytes_max + 1)
        if len(body) > self._bytes_max:
            raise ValueError("the answer is too large")
        return body, answer.headers
