"""The tools of plugins, as one language model may call them for one contact of one client."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from orbitbot.ai.providers.base import ToolCall, ToolSpec
from orbitbot.plugins.hooks import Effect, Reply, Tool, TurnContext
from orbitbot.plugins.manager import Plugins

RESULT_LIMIT: Final = 4000  # characters of what a tool says that reach the model


class TurnTools:
    """Tools bound to one turn. What a model gives as arguments is checked against the tool's own type.

    Attributes:
        effects: what the tools that were called have asked for.
        used: whether any was called.
    """

    def __init__(self, plugins: Plugins, context: TurnContext, tools: Sequence[tuple[str, Tool]]) -> None:
        self._plugins = plugins
        self._context = context
        self._tools = {tool.name: (name, tool) for name, tool in tools}
        self.effects: list[Effect] = []
        self.used = False
        self.specs = tuple(
            ToolSpec(tool.name, tool.description, _schema(tool.parameters))
            for _, tool in self._tools.values()
        )

    async def call(self, call: ToolCall) -> str:
        """What the tool says; what is wrong with a call is told to the model."""
        self.used = True
        found = self._tools.get(call.name)
        if found is None:
            return f"error: there is no tool {call.name!r}"
        name, tool = found
        try:
            arguments = msgspec.json.decode(call.arguments, type=tool.parameters)
        except (msgspec.MsgspecError, RecursionError) as error:
            return f"error: {error}"
        said = await self._plugins.use_tool(name, tool, arguments, self._context)
        if isinstance(said, Reply):
            self.effects += said.effects
            said = said.text
        return said[:RESULT_LIMIT] if isinstance(said, str) else "error: the tool failed"


def _schema(kind: type[msgspec.Struct]) -> dict[str, object]:
    """A JSON schema without references, as services take it."""
    schema: dict[str, Any] = msgspec.json.schema(kind)
    definitions = schema.pop("$defs", {})
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return {**definitions.get(name, {"type": "object", "properties": {}})} | (
        {"$defs": rest} if (rest := {key: value for key, value in definitions.items() if key != name}) else {}
    )
