"""Access to the live page: with a token, or from this machine alone."""

import hmac
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "memguard_watch"
MONTH = 30 * 24 * 3600
LONGEST_FORM = 4096  # bytes
STYLES = "/colours.css", "/page.css"  # of the login form as well
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]


def guard_of(token: str | None, host: str) -> Middleware:
    """Return the middleware that lets requests through.

    Args:
        token: The token that each request needs. Without one, requests are answered only under a
            name of this machine: a page of another site whose name leads here gets nothing.
        host: The address that is served.
    """
    if token is not None:
        return Middleware(TokenGuard, token=token)
    return Middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, host], www_redirect=False)


class TokenGuard:
    """Answer only requests with the token, in a header or in the cookie of the login form.

    Args:
        app: The application behind it.
        token: The token.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()
        # The browser stores this in place of the token.
        self._session = hmac.digest(self._token, b"memguard live page", "sha256").hex()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it to the application."""
        request = Request(scope, receive)
        if request.url.path == "/login":
            await (await self._login(request))(scope, receive, send)
        elif request.url.path in STYLES or self._allows(request):
            await self._app(scope, receive, send)
        else:
            await _refusal(request)(scope, receive, send)

    def _allows(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return hmac.compare_digest(token.strip().encode("latin-1"), self._token)
        cookie = request.cookies.get(COOKIE, "")
        return hmac.compare_digest(cookie.encode(), self._session.encode())

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return _form(wrong=False)
        form = bytearray()
        async for part in request.stream():
            form += part
            if len(form) > LONGEST_FORM:
                return PlainTextResponse("The form is too long.", status_code=413)
        token = parse_qs(form.decode(errors="replace")).get("token", [""])[0]
        if not hmac.compare_digest(token.encode(), self._token):
            return _form(wrong=True)
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            COOKIE, self._session, max_age=MONTH, httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer


def _form(*, wrong: bool) -> Response:
    pages = Environment(loader=PackageLoader("memguard.live.page", "template"), autoescape=True)
    page = pages.get_template("login.html").render(wrong=wrong)
    return HTMLResponse(page, status_code=401 if wrong else 200)


def _refusal(request: Request) -> Response:
    """Send a browser to the login form, and anything else away."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/login", status_code=303)
    return PlainTextResponse(
        "Send the token of this page in the header Authorization: Bearer TOKEN.",
        status_code=401,
        headers={"WWW-Authenticate": "Bearer"},
    )
