"""A WhatsApp server for tests: the real, unmodified neonize pairs with it, gets messages from it and answers.

One file per layer, from the wire up:

    websocket.py   HTTP CONNECT, TLS (tls.py), WebSocket, frames
    noise.py       the Noise handshake and the encrypted frames after it
    nodes.py       binary nodes, the stanzas of everything above
    pairing.py     linking a device by QR or by 8-digit code
    signal.py      end-to-end encryption between two devices; groups.py: towards a group
    media.py       encrypted files
    people.py      who is there: people with phones, linked devices, groups
    post.py        messages: encrypted for bots, decrypted from bots
    connection.py  one client's connection: login, pairing, queries, stanzas
    core.py        the listening server

and beside them

    script.py      what a test can have people, phones and the server do, troubles (troubles.py) included
    handle.py      `with WhatsApp() as whatsapp:` a server in a thread of the test
    __main__.py    `python -m tests.whatsapp`: a server in a process of its own; remote.py scripts it by HTTP
    boundary.py    how an unmodified neonize is led here

It needs `cryptography` and `msgspec`, not neonize.
"""
