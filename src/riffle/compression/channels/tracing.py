"""A network as a graph of operations, with what each of them gives for an example, from shapes alone."""

import inspect
import logging
import operator
import types
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from riffle.layers.conv import SameConv2d

VIEWS = frozenset((
    "chunk", "contiguous", "detach", "dropout", "expand", "flatten", "getitem", "identity", "movedim",
    "narrow", "permute", "reshape", "select", "split", "split_with_sizes", "squeeze", "swapaxes",
    "tensor_split", "transpose", "unbind", "unflatten", "unsqueeze", "view", "view_as",
))  # fmt: skip
"""Operations whose result may be their input's memory: what is done to one in place is done to the other."""

VIEW_LAYERS = (nn.Identity, nn.Flatten, nn.Unflatten, nn.modules.dropout._DropoutNd)

OUT_OF_PLACE: dict[Any, Callable[..., Any]] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}


class Untraceable(Exception):
    """Why a network cannot be read as a graph, or not be trusted as one."""


@dataclass(frozen=True)
class Traced:
    """A copy of a network whose graph computes nothing in place."""

    module: fx.GraphModule
    results: dict[fx.Node, Any]
    """What each operation gives: tensors without numbers (twice the example's batch where possible), and sizes."""
    uses: Counter[int]
    """How many operations use a parameter or buffer, by its identity."""
    constants: dict[fx.Node, Tensor]
    """Tensors of whole numbers that depend on no input, such as an order of channels."""

    @property
    def nodes(self) -> list[fx.Node]:
        """The operations in the order in which they run."""
        return list(self.module.graph.nodes)

    def tensor(self, path: str) -> Tensor:
        """A parameter or buffer by its path."""
        return tensor_at(self.module, path)

    def layer(self, node: fx.Node) -> nn.Module | None:
        """The module that an operation calls."""
        return self.module.get_submodule(str(node.target)) if node.op == "call_module" else None


def traced(model: nn.Module, example: tuple[Tensor, ...]) -> Traced:
    """A network's graph by symbolic tracing, which keeps its modules, or else by ``torch.export``.

    Raises:
        Untraceable: neither works, or an operation changes in place what others read as well.
    """
    reasons = []
    for trace in (_symbolic, _exported):
        try:
            with _without_logs():
                module = trace(deepcopy(model), example)
                _without_inplace(module)
                results = _results(module, example)
                return Traced(module, results, _uses(module), _constants(module, results))
        except Untraceable:
            raise
        except Exception as error:  # whatever foreign code raises when it is traced
            reasons.append(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
    raise Untraceable(f"it cannot be traced ({reasons[0]}) nor exported ({reasons[1]})")


@contextmanager
def _without_logs() -> Iterator[None]:
    """Torch logs each try that fails with its whole stack; the reason that is kept says enough."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def tensor_at(module: nn.Module, path: str) -> Tensor:
    """A parameter or buffer by its path."""
    *parents, name = path.split(".")
    value: Tensor = getattr(module.get_submodule(".".join(parents)), name)
    return value


def name_of(node: fx.Node) -> str:
    """What an operation is called, alike for functions, methods and operators of ATen; empty for foreign ones."""
    target = node.target
    if node.op == "call_method":
        return str(target)
    if node.op != "call_function":
        return ""
    if isinstance(target, torch._ops.OpOverload):
        return target._schema.name.removeprefix("aten::")
    home = getattr(target, "__module__", None) or "torch"
    known = home.partition(".")[0] in ("torch", "_operator", "builtins")
    return getattr(target, "__name__", "") if known else ""


def part_of(node: fx.Node) -> str:
    """Where in the network an operation is: the path of the module that it was written in, or its own name."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path = str(stack[-1][0]) if stack else ""
    return path or node.name


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) is SameConv2d or super().is_leaf_module(m, module_qualified_name)


def symbolic_graph(model: nn.Module) -> fx.Graph:
    """What a network does in its present mode, its layers as single operations; raises whatever tracing it raises."""
    return _Tracer().trace(model)


def _symbolic(model: nn.Module, example: tuple[Tensor, ...]) -> fx.GraphModule:
    return fx.GraphModule(model, symbolic_graph(model))


def _exported(model: nn.Module, example: tuple[Tensor, ...]) -> fx.GraphModule:
    dynamic = tuple({0: torch.export.Dim.AUTO} if x.ndim else None for x in example)
    module = torch.export.export(model, _doubled(example), dynamic_shapes=dynamic).module(check_guards=False)
    assert isinstance(module, fx.GraphModule)
    for method in ("train", "eval"):  # an exported network refuses both; in ours they do nothing
        module.__dict__.pop(method, None)
    return module


def _doubled(example: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x.repeat(2, *(1 for _ in x.shape[1:])) if x.ndim else x for x in example)


class _Recorder(fx.Interpreter):
    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        super().__init__(module, graph=graph)
        self.results: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.results[n] = super().run_node(n)
        return self.results[n]


def _results(module: fx.GraphModule, example: tuple[Tensor, ...]) -> dict[fx.Node, Any]:
    """What each node gives. With two examples, batch and channels cannot be taken for one another."""
    ways = [(run, inputs) for inputs in (_doubled(example), example) for run in (_on_meta, _on_fakes)]
    modes = [(part, part.training) for part in module.modules()]
    for part, _ in modes:
        part.training = False  # not eval(): an exported network refuses that
    try:
        for run, inputs in ways:
            try:
                with torch.no_grad():
                    return run(module, inputs)
            except Exception:
                if run is ways[-1][0] and inputs is example:
                    raise
    finally:
        for part, before in modes:
            part.training = before
    raise AssertionError("the last way returns or raises")


def _on_meta(module: fx.GraphModule, inputs: tuple[Tensor, ...]) -> dict[fx.Node, Any]:
    """The faster way: ten times for most networks. It refuses tensors that an operation makes on a device."""
    recorder = _Recorder(deepcopy(module).to("meta"), module.graph)
    recorder.run(*(x.to("meta") for x in inputs))
    return recorder.results


def _on_fakes(module: fx.GraphModule, inputs: tuple[Tensor, ...]) -> dict[fx.Node, Any]:
    recorder = _Recorder(module, module.graph)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        recorder.run(*(mode.from_tensor(x) for x in inputs))
    return recorder.results


def _constants(module: fx.GraphModule, results: dict[fx.Node, Any]) -> dict[fx.Node, Tensor]:
    constants: dict[fx.Node, Tensor] = {}

    def known(node: fx.Node) -> Any:
        return constants[node] if node in constants else results[node]

    for node, result in results.items():
        if not isinstance(result, Tensor) or result.is_floating_point():
            continue
        if node.op == "get_attr":
            constants[node] = tensor_at(module, str(node.target)).cpu()
        elif node.op in ("call_function", "call_method"):
            if any(isinstance(results[n], Tensor) and n not in constants for n in node.all_input_nodes):
                continue
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), known)
            target: Any = node.target if node.op == "call_function" else getattr(args[0], str(node.target))
            constants[node] = target(*(args if node.op == "call_function" else args[1:]), **kwargs).cpu()
    return constants


def _uses(module: fx.GraphModule) -> Counter[int]:
    uses: Counter[int] = Counter()
    for node in module.graph.nodes:
        if node.op == "call_module":
            called = module.get_submodule(node.target)
            uses.update({id(tensor) for tensor in (*called.parameters(), *called.buffers())})
        elif node.op == "get_attr":
            uses[id(tensor_at(module, node.target))] += len(node.users)
    return uses


def _without_inplace(module: fx.GraphModule) -> None:
    """Let every operation give a new tensor; who read the changed one later reads the new one.

    Raises:
        Untraceable: what is changed is part of another tensor that is read later.
    """
    place = {node: index for index, node in enumerate(module.graph.nodes)}
    inplace = {node: pure for node in place if (pure := _pure(module, node)) is not None}
    for node, make_pure in inplace.items():
        make_pure()
        changed = node.args[0]
        assert isinstance(changed, fx.Node)
        family = _aliases(module, changed)
        later = [user for member in family for user in member.users if place[user] > place[node] and user not in family]
        if family == {changed}:
            for user in later:
                user.replace_input_with(changed, node)
        elif later:
            raise Untraceable(f"{node.name} changes in place what {later[0].name} reads as part of another tensor")
    module.graph.lint()
    module.recompile()


def _pure(module: fx.GraphModule, node: fx.Node) -> Callable[[], None] | None:
    """For an operation in place: what makes it one that is not."""
    target: Any = node.target
    name = name_of(node)
    if node.op == "call_module":
        layer = module.get_submodule(target)
        return partial(setattr, layer, "inplace", False) if getattr(layer, "inplace", False) else None
    if not node.args or not isinstance(node.args[0], fx.Node):
        return None
    if target in OUT_OF_PLACE:
        return partial(setattr, node, "target", OUT_OF_PLACE[target])
    if name.endswith("_") and not name.endswith("__"):
        return partial(setattr, node, "target", _pure_target(target, name[:-1]))
    if isinstance(target, types.FunctionType) and "inplace" in inspect.signature(target).parameters:
        given = inspect.signature(target).bind(*node.args, **node.kwargs)
        if given.arguments.get("inplace", False):
            given.arguments["inplace"] = False
            return partial(_set_arguments, node, given)
    return None


def _pure_target(target: Any, name: str) -> Any:
    if isinstance(target, str):
        return name
    if isinstance(target, torch._ops.OpOverload):
        return getattr(getattr(torch.ops.aten, name), target._overloadname)
    return getattr(torch.nn.functional, name, None) or getattr(torch, name)


def _set_arguments(node: fx.Node, given: inspect.BoundArguments) -> None:
    node.args, node.kwargs = given.args, given.kwargs


def _aliases(module: fx.GraphModule, node: fx.Node) -> set[fx.Node]:
    """All that may be the same memory as a node's result."""

    def is_view(node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(module.get_submodule(str(node.target)), VIEW_LAYERS)
        return name_of(node) in VIEWS

    root = node
    while is_view(root) and root.args and isinstance(root.args[0], fx.Node):
        root = root.args[0]
    family, fresh = {root}, [root]
    while fresh:
        views = [user for user in fresh.pop().users if is_view(user) and user not in family]
        family.update(views)
        fresh.extend(views)
    return family
