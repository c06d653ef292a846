"""The hook that repairs RecBole's modules when they are imported, in any order of imports."""

import importlib
import sys

import pytest
import recbole

import recbole_sigma  # noqa: F401  installs the hook
from tests.fresh import fresh, loaded


def hooks():
    return [finder for finder in sys.meta_path if type(finder).__module__ == "recbole_sigma.import_hook"]


@pytest.mark.parametrize("how", ["from recbole_sigma import compat", "import recbole_sigma"])
def test_nothing_but_recbole_changes(how):
    """Neither by the plugin, nor by using RecBole afterwards."""
    printed = fresh(f"""
        import importlib, sys, warnings
        import numpy, numpy.random, pandas, scipy.sparse, torch, torch.cuda.amp, torch.distributed, yaml
        import torch.nn.parallel, torch.utils.tensorboard, sklearn.cluster
        libraries = [numpy, numpy.random, pandas, scipy.sparse, scipy.sparse.dok_matrix, torch, torch.nn, torch.amp]
        libraries += [torch.cuda.amp, torch.distributed, numpy.random.RandomState, yaml, yaml.FullLoader]
        def state():
            return [dict(vars(library)) for library in libraries]
        for library in libraries:
            for name in dir(library):
                getattr(library, name, None)  # what is imported on first use is not of interest
        before, filters, modules = state(), list(warnings.filters), dict(sys.modules)
        builtins = dict(vars(importlib.import_module("builtins")))
        {how}
        import recbole.config, recbole.data, recbole.trainer, recbole.utils
        for model in ("LightGCN", "NCL", "LDiffRec", "S3Rec", "KSR"):
            recbole.utils.get_model(model)
        for library, old, new in zip(libraries, before, state()):
            changed = [name for name in old.keys() | new.keys() if old.get(name) is not new.get(name)]
            assert not [name for name in changed if not isinstance(new.get(name), type(sys))], (library, changed)
        assert warnings.filters == filters, set(warnings.filters) - set(filters)
        assert all(sys.modules.get(name) is module for name, module in modules.items())
        assert dict(vars(importlib.import_module("builtins"))) == builtins
        unwanted = ["ray", "plotly", "recbole.quick_start", "faiss", "kmeans_pytorch", "hyperopt"]
        print([name for name in unwanted if name in sys.modules])
    """)
    assert printed == "[]"


@pytest.mark.parametrize("before", ["", "import recbole", "import recbole.utils.enum_type"])
def test_the_plugin_imports_no_module_of_recbole(before):
    printed = fresh(f"""
        import sys
        {before}
        known = {{name for name in sys.modules if name.startswith("recbole.")}}
        import recbole_sigma.compat
        print({{name for name in sys.modules if name.startswith("recbole.")}} == known)
    """)
    assert printed == "True"


@pytest.mark.parametrize("order", ["before", "after", "get_model", "reload", "twice"])
def test_repairs_hold_in_any_order_of_imports(order):
    before, after = {
        "before": ("import recbole.data.dataset.dataset, recbole.model.general_recommender.lightgcn", ""),
        "after": ("", "import recbole.model.general_recommender.lightgcn"),
        "get_model": ("", "from recbole.utils import get_model; get_model('LightGCN')"),
        "reload": (
            "import recbole.model.general_recommender.lightgcn",
            "import importlib; importlib.reload(import_module('recbole.model.general_recommender.lightgcn'))",
        ),
        "twice": (
            "",
            "import importlib; importlib.reload(recbole_sigma); import recbole.model.general_recommender.lightgcn; "
            "importlib.reload(recbole_sigma.import_hook); importlib.reload(recbole_sigma)",
        ),
    }[order]
    if recbole.__version__ == "1.2.0":  # whose models cannot be imported before the repair
        before = before.replace("recbole.model.general_recommender.lightgcn", "recbole.data.dataset")
    printed = fresh(f"""
        import sys
        from importlib import import_module
        {before}
        import recbole_sigma
        {after}
        sp = import_module("recbole.model.general_recommender.lightgcn").sp
        assert hasattr(sp.dok_matrix, "_update")
        assert sp._real is sys.modules["scipy.sparse"], "an overlay of an overlay"
        data = import_module("recbole.data.dataset.dataset")
        assert data._recbole_sigma_repairs.count("fast_csv") == 1
        print(sum(type(finder).__name__ == "_Finder" for finder in sys.meta_path))
    """)
    assert printed == "1"


def test_modules_keep_their_identity():
    module = importlib.import_module("recbole.model.general_recommender.lightgcn")
    assert module.__spec__.loader.get_source(module.__name__).startswith("# -*- coding")
    (hook,) = hooks()
    assert hook.find_spec("json") is None
    assert hook.find_spec("recbole.no_such_module") is None


def test_looking_for_a_module_runs_nothing():
    program = """
        import importlib.util, recbole_sigma
        assert importlib.util.find_spec("recbole.trainer").origin.endswith("__init__.py")
        assert importlib.util.find_spec("recbole.no_such_module") is None
    """
    assert loaded(program, "recbole.trainer", "recbole_sigma.compat", "torch", "pandas") == []


def test_a_failed_import_leaves_nothing_behind():
    """Because of a library that the repairs need, one that the module needs, or a repair."""
    printed = fresh("""
        import sys
        import recbole_sigma

        def fails(name, error):
            try:
                __import__(name)
            except error:
                return name not in sys.modules

        def without(library, name):
            real, sys.modules[library] = sys.modules.get(library), None
            failed = fails(name, ImportError)
            del sys.modules[library]
            if real is not None:
                sys.modules[library] = real
            return failed

        assert without("scipy", "recbole.utils.utils") and "recbole_sigma.compat" not in sys.modules
        assert without("pandas", "recbole.utils.utils")

        from recbole_sigma import compat
        compat.fast_csv.needed = lambda: 1 / 0
        assert fails("recbole.data.dataset.dataset", ZeroDivisionError)
        compat.fast_csv.needed = lambda: True

        assert ["recbole_sigma" in type(finder).__module__ for finder in sys.meta_path].count(True) == 1
        import recbole.data.dataset.dataset
        print("fast_csv" in recbole.data.dataset.dataset._recbole_sigma_repairs)
    """)
    assert printed == "True"


def test_threads_that_import_recbole_at_once_get_repaired_modules():
    printed = fresh("""
        import sys
        from importlib import import_module
        from threading import Barrier, Thread
        import recbole_sigma
        names = ["data.dataset.dataset", "trainer.trainer", "model.sequential_recommender.ksr", "evaluator.collector"]
        names = [f"recbole.{name}" for name in names]
        barrier, errors = Barrier(len(names)), []

        def run(name):
            barrier.wait()
            try:
                import_module(name)
            except BaseException as error:
                errors.append(error)

        threads = [Thread(target=run, args=[name]) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        print(errors, all(hasattr(sys.modules[name], "_recbole_sigma_repairs") for name in names))
    """)
    assert printed == "[] True"


@pytest.mark.parametrize(
    "imports",
    [
        "import recbole_sigma, recbole.evaluator",
        "import recbole.evaluator, recbole_sigma",
        "import recbole_sigma.evaluation.diversity",
        "from recbole_sigma import Config",
    ],
)
def test_recbole_knows_the_metrics_of_the_plugin(imports):
    printed = fresh(f"""
        {imports}
        import recbole.evaluator
        print(recbole.evaluator.metrics_dict["diversity"].__module__)
    """)
    assert printed == "recbole_sigma.evaluation.diversity"
