"""A small S3 server over TLS: enough of the protocol for pgBackRest and restic, every signature verified.

    python3 s3_server.py FOLDER PORT CERTIFICATE KEY ACCESS_KEY SECRET

It needs nothing but Python, so that tests run it on a host of a fleet. Buckets are addressed by path
(`https://host:port/bucket/key`) and exist from the first write. Each object is a file in FOLDER.

The signatures follow AWS's Signature Version 4 with headers (docs.aws.amazon.com, "Signature calculations for
the Authorization header"); a payload that was signed is compared with its hash.
"""

import hashlib
import hmac
import re
import ssl
import sys
import threading
import urllib.parse
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

PAGE: Final = 1000  # keys in an answer
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_CREDENTIAL: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>[^,]+), ?"
    r"SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})$"
)
_KEY: Final = re.compile(r"<Key>([^<]+)</Key>")
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)$")


class Refused(Exception):
    """A request that gets an error of S3's: its status and code."""

    def __init__(self, status: HTTPStatus, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


def quoted(text: str) -> str:
    """Percent-encoded as the signature wants it."""
    return urllib.parse.quote(text, safe="-_.~")


def signature(secret: str, scope: str, to_sign: str) -> str:
    """The signature of a string, with a key for the scope `date/region/service/aws4_request`."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


class Objects:
    """The objects of all buckets, below a folder; a key begins with its bucket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uploads: dict[str, dict[int, bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """The file of an object."""
        return self._folder / hashlib.sha256(key.encode()).hexdigest()

    def put(self, key: str, content: bytes) -> str:
        """Store an object; its ETag."""
        path = self.path(key)
        draft = path.with_suffix(f".{threading.get_ident()}")
        draft.write_bytes(content)
        draft.replace(path)
        path.with_suffix(".key").write_text(key)
        return self.etag(content)

    def etag(self, content: bytes) -> str:
        """What S3 calls an object's content."""
        return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'

    def get(self, key: str) -> bytes:
        """An object's content.

        Raises:
            Refused: there is none.
        """
        try:
            return self.path(key).read_bytes()
        except FileNotFoundError:
            raise Refused(HTTPStatus.NOT_FOUND, "NoSuchKey") from None

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        self.path(key).unlink(missing_ok=True)
        self.path(key).with_suffix(".key").unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        """The keys that begin so, in order."""
        found = [path.read_text() for path in self._folder.glob("*.key")]
        return sorted(key for key in found if key.startswith(prefix))

    def begin(self) -> str:
        """Begin an upload in parts; its id."""
        upload = uuid.uuid4().hex
        self._uploads[upload] = {}
        return upload

    def add(self, upload: str, number: int, content: bytes) -> str:
        """Add a part; its ETag."""
        self._uploads[upload][number] = content
        return self.etag(content)

    def end(self, upload: str) -> bytes:
        """The parts together."""
        parts = self._uploads.pop(upload)
        return b"".join(parts[number] for number in sorted(parts))


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    objects: Objects
    credentials: tuple[str, str]

    def do_GET(self) -> None:
        """See `_answer`; so for every method."""
        self._answer()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815  (names of the base class)

    def _answer(self) -> None:
        """Verify and carry out a request, or say what S3 would."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        parts = urllib.parse.urlsplit(self.path)
        self.key = urllib.parse.unquote(parts.path).removeprefix("/")
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        try:
            self._verify(parts, body)
            if "/" not in self.key.rstrip("/"):
                self._bucket(body)
            else:
                self._object(body)
        except Refused as refused:
            self._send(refused.status, f"<Error><Code>{refused.code}</Code></Error>".encode())

    def _verify(self, parts: urllib.parse.SplitResult, body: bytes) -> None:
        """Compare the request's signature with the one that the secret makes.

        Raises:
            Refused: it is another one, or none.
        """
        given = _CREDENTIAL.match(self.headers.get("Authorization") or "")
        payload = self.headers.get("x-amz-content-sha256") or ""
        if given is None or given["key"] != self.credentials[0]:
            raise Refused(HTTPStatus.FORBIDDEN, "InvalidAccessKeyId")
        if payload not in (UNSIGNED, hashlib.sha256(body).hexdigest()):
            raise Refused(HTTPStatus.BAD_REQUEST, "XAmzContentSHA256Mismatch")
        query = sorted((quoted(name), quoted(value)) for name, value in self.query.items())
        signed = given["headers"].split(";")
        request = "\n".join((
            self.command,
            parts.path,
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{' '.join((self.headers.get(name) or '').split())}" for name in signed),
            "",
            given["headers"],
            payload,
        ))  # fmt: skip
        moment = self.headers.get("x-amz-date") or ""
        digest = hashlib.sha256(request.encode()).hexdigest()
        wanted = signature(
            self.credentials[1],
            given["scope"],
            "\n".join(("AWS4-HMAC-SHA256", moment, given["scope"], digest)),
        )
        if not hmac.compare_digest(wanted, given["signature"]):
            raise Refused(HTTPStatus.FORBIDDEN, "SignatureDoesNotMatch")

    def _bucket(self, body: bytes) -> None:
        """What concerns a bucket: that it is there, its place, its keys, many deletions."""
        bucket = self.key.rstrip("/")
        if self.command == "POST" and "delete" in self.query:
            for key in _KEY.findall(body.decode()):
                self.objects.delete(f"{bucket}/{key}")
            self._send(HTTPStatus.OK, b"<DeleteResult></DeleteResult>")
        elif self.command == "GET" and "location" in self.query:
            self._send(HTTPStatus.OK, b"<LocationConstraint></LocationConstraint>")
        elif self.command == "GET":
            self._send(HTTPStatus.OK, self._listed(bucket).encode())
        else:
            self._send(HTTPStatus.OK, b"")

    def _listed(self, bucket: str) -> str:
        """The answer of ListObjectsV2."""
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        after = self.query.get("continuation-token", "")
        entries: dict[str, str] = {}
        for full in self.objects.keys(f"{bucket}/{prefix}"):
            key = full.removeprefix(f"{bucket}/")
            rest = key.removeprefix(prefix)
            if delimiter and delimiter in rest:
                group = prefix + rest.partition(delimiter)[0] + delimiter
                entries[group] = f"<CommonPrefixes><Prefix>{escape(group)}</Prefix></CommonPrefixes>"
                continue
            path = self.objects.path(full)
            size = path.stat().st_size
            entries[key] = (
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>&quot;0&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
        left = [name for name in sorted(entries) if name > after]
        more = len(left) > PAGE
        token = f"<NextContinuationToken>{escape(left[PAGE - 1])}</NextContinuationToken>" if more else ""
        shown = "".join(entries[name] for name in left[:PAGE])
        return (
            f'<?xml version="1.0"?><ListBucketResult><Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{shown}</ListBucketResult>"
        )

    def _object(self, body: bytes) -> None:
        """What concerns one object."""
        if self.command == "PUT" and "uploadId" in self.query:
            etag = self.objects.add(self.query["uploadId"], int(self.query["partNumber"]), body)
            self._send(HTTPStatus.OK, b"", {"ETag": etag})
        elif self.command == "PUT":
            self._send(HTTPStatus.OK, b"", {"ETag": self.objects.put(self.key, body)})
        elif self.command == "POST" and "uploads" in self.query:
            upload = f"<UploadId>{self.objects.begin()}</UploadId>"
            self._send(
                HTTPStatus.OK,
                f"<InitiateMultipartUploadResult>{upload}</InitiateMultipartUploadResult>".encode(),
            )
        elif self.command == "POST":
            etag = self.objects.put(self.key, self.objects.end(self.query["uploadId"]))
            told = f"<ETag>{escape(etag)}</ETag>"
            self._send(
                HTTPStatus.OK,
                f"<CompleteMultipartUploadResult>{told}</CompleteMultipartUploadResult>".encode(),
            )
        elif self.command == "DELETE":
            self.objects.delete(self.key)
            self._send(HTTPStatus.NO_CONTENT, b"")
        else:
            self._download()

    def _download(self) -> None:
        """An object, or a range of its bytes."""
        content = self.objects.get(self.key)
        headers = {"ETag": self.objects.etag(content), "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        wanted = _RANGE.match(self.headers.get("Range") or "")
        if wanted is None:
            self._send(HTTPStatus.OK, content, headers)
            return
        first, last = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self._send(HTTPStatus.PARTIAL_CONTENT, content[first : last + 1], headers)

    def _send(self, status: HTTPStatus, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != HTTPStatus.NO_CONTENT:
            self.wfile.write(body)


def main() -> None:
    """Serve until killed."""
    folder, port, certificate, key, access_key, secret = sys.argv[1:]
    Handler.objects = Objects(Path(folder))
    Handler.credentials = (access_key, secret)
    server = ThreadingHTTPServer(("", int(port)), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main()
