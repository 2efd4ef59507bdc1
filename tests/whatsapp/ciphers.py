"""AES in the three modes that the protocol uses."""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 16  # bytes


def cbc_encrypt(key: bytes, iv: bytes, content: bytes) -> bytes:
    """AES-CBC with PKCS #7 padding."""
    padding = _BLOCK - len(content) % _BLOCK
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(content + bytes([padding]) * padding) + encryptor.finalize()


def cbc_decrypt(key: bytes, iv: bytes, content: bytes) -> bytes:
    """The inverse of `cbc_encrypt`.

    Raises:
        ValueError: the padding is wrong.
    """
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    padded = decryptor.update(content) + decryptor.finalize()
    padding = padded[-1]
    if not 1 <= padding <= _BLOCK or padded[-padding:] != bytes([padding]) * padding:
        raise ValueError("wrong padding")
    return padded[:-padding]


def ctr(key: bytes, iv: bytes, content: bytes) -> bytes:
    """AES-CTR, which is its own inverse."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
    return encryptor.update(content) + encryptor.finalize()
