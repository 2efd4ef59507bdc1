"""Action `operator_api`: one call to the REST API, made by the controller in the operator's name.

Arguments:
    url: the API's public address, such as `https://localhost`.
    ca_certificate: PEM of the authority to trust instead of the system's; empty for the system's.
    token: the operator's access token.
    method: `GET` by default.
    path: such as `/api/clients/padaria`.
    body: sent as JSON.
    headers: further request headers, such as `Idempotency-Key`.
    accept: further HTTP statuses that are no failure (2xx never is).
    timeout: seconds (30).

Returns `status`, `json` (the decoded answer), `headers` (names in lower case), `seconds`, and `changed`:
what the answer says in a member `changed`, else whether the method writes. In check mode only `GET` is sent.
"""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

TIMEOUT = 30.0  # seconds; the gateway answers within 25
_ARGUMENTS = ("url", "ca_certificate", "token", "method", "path", "body", "headers", "accept", "timeout")


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset(_ARGUMENTS)
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make the call."""
        super().run(tmp, task_vars)
        arguments = self._task.args
        method = str(arguments.get("method", "GET")).upper()
        if self._task.check_mode and method != "GET":
            return {"changed": True, "skipped": True, "status": 0, "json": {}}
        request = _request(arguments, method)
        began = time.monotonic()
        status, headers, text = _send(
            request,
            str(arguments.get("ca_certificate") or ""),
            float(arguments.get("timeout", TIMEOUT)),
        )
        seconds = round(time.monotonic() - began, 3)
        answer = _decoded(text)
        allowed = [int(each) for each in arguments.get("accept", [])]
        if not 200 <= status < 300 and status not in allowed:  # noqa: PLR2004  (success, in HTTP)
            raise AnsibleActionFail(
                f"{method} {request.full_url} was answered {status}: {_reason(answer, text)}"
            )
        writes = method not in ("GET", "HEAD")
        changed = answer.get("changed", writes) if isinstance(answer, dict) else writes
        return {
            "changed": bool(changed),
            "status": status,
            "json": answer,
            "headers": headers,
            "seconds": seconds,
        }


def _request(arguments: dict[str, Any], method: str) -> urllib.request.Request:
    headers = {"Accept": "application/json"} | arguments.get("headers", {})
    if arguments.get("token"):
        headers["Authorization"] = f"Bearer {arguments['token']}"
    body = arguments.get("body")
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    url = str(arguments["url"]).rstrip("/") + str(arguments["path"])
    if not url.startswith(("http://", "https://")):
        raise AnsibleActionFail(f"{url!r} is not an http:// or https:// address")
    return urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310  (checked above)


def _send(request: urllib.request.Request, ca: str, timeout: float) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of the answer, whatever the status.

    Raises:
        AnsibleActionFail: no answer came; says why and what to look at.
    """
    context = ssl.create_default_context(cadata=ca or None)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),  # the fleet is never behind the operator's proxy
        urllib.request.HTTPSHandler(context=context),
    )
    try:
        with opener.open(request, timeout=timeout) as response:
            return response.status, _lower(response.headers), response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _lower(error.headers), error.read().decode(errors="replace")
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise AnsibleActionFail(
            f"{request.get_method()} {request.full_url} got no answer: {reason}. "
            "Are nginx and the gateway running? playbooks/status.yml shows it"
        ) from None  # Ansible would print the cause a second time


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {}


def _reason(answer: Any, text: str) -> str:
    """The problem document's own words, or the beginning of whatever came instead."""
    if isinstance(answer, dict) and answer.get("detail"):
        return str(answer["detail"])
    return text.strip()[:300] or "(an empty answer)"
