"""People at the web process over plain HTTP, as a browser without scripts would come."""

from __future__ import annotations

import httpx

from tests.harness import PASSWORD


class Person:
    """Somebody signed in over HTTP, by the real form."""

    def __init__(self, address: str, username: str) -> None:
        self.http = httpx.Client(base_url=address, trust_env=False, follow_redirects=True)
        self.post("/accounts/login/", login=username, password=PASSWORD)
        assert "sessionid" in self.http.cookies

    def post(self, path: str, /, **form: str) -> httpx.Response:
        if "csrftoken" not in self.http.cookies:
            self.http.get("/accounts/login/")
        sent = form | {"csrfmiddlewaretoken": self.http.cookies["csrftoken"]}
        answer = self.http.post(path, data=sent, headers={"Referer": str(self.http.base_url)})
        assert answer.status_code == 200, answer.text
        return answer

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *error: object) -> None:
        self.http.close()

    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
