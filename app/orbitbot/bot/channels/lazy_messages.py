"""Makes a generated protobuf module's message classes when they are first asked for.

neonize's modules describe some 900 messages, and the bot uses two dozen. protobuf's own builder, which
generated code calls, makes a class of every one and brings protobuf's Python implementation along, 2 MiB
together. This module takes its place: same functions, and a class comes with the first access to its name.
Everything that it uses is protobuf's public interface but the enum's wrapper.
"""

from typing import Any

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message_factory import GetMessageClass


def BuildMessageAndEnumDescriptors(file_des: Any, module: dict[str, Any]) -> None:  # noqa: N802
    """Names of descriptors, which nobody uses."""


def BuildTopDescriptorsAndMessages(  # noqa: N802
    file_des: Any, module_name: str, module: dict[str, Any]
) -> None:
    """Have the module make its classes, enums and extensions on demand."""

    def make(name: str) -> Any:
        if name in file_des.message_types_by_name:
            return GetMessageClass(file_des.message_types_by_name[name])
        if name in file_des.enum_types_by_name:
            return EnumTypeWrapper(file_des.enum_types_by_name[name])
        for enum in file_des.enum_types_by_name.values():
            if name in enum.values_by_name:
                return enum.values_by_name[name].number
        if name in file_des.extensions_by_name:
            return file_des.extensions_by_name[name]
        raise AttributeError(f"module {module_name!r} has no attribute {name!r}")

    def remember(name: str) -> Any:
        module[name] = make(name)
        return module[name]

    module["__getattr__"] = remember
