"""The speech node: takes voice notes, answers with the words heard. A Litestar application of its own.

routes → service → decoding (a process apart) → model
"""
