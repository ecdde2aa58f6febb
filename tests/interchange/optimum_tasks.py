"""Runs where Optimum is: holds our names of tasks against those of its ``TasksManager``."""

from __future__ import annotations

from optimum.exporters.tasks import TasksManager

from edgeroberta.tasks import SYNONYMS, TASKS

#: What Optimum exports these encoders for and we have no head for.
OTHERS = {"multiple-choice", "text-generation", "text-generation-with-past"}


def main() -> None:
    """Fail where a name is another."""
    known = set(TasksManager.get_all_tasks())
    assert set(TASKS) <= known, set(TASKS) - known
    for theirs, ours in SYNONYMS.items():
        assert TasksManager.map_from_synonym(theirs) == TasksManager.map_from_synonym(ours), theirs
    mapped = {TasksManager.map_from_synonym(name) for name in TASKS}
    try:
        import optimum.exporters.onnx.model_configs as configs
    except ImportError:
        try:
            import optimum.exporters.openvino.model_configs as configs
        except ImportError:
            return  # Optimum alone exports nothing
    exporter = configs.__name__.split(".")[2]
    for model_type in ("roberta", "xlm-roberta", "camembert", "bert"):
        exported = TasksManager.get_supported_tasks_for_model_type(
            model_type, exporter, library_name="transformers"
        )
        assert mapped <= set(exported), (model_type, mapped - set(exported))
        assert set(exported) - mapped <= OTHERS, (model_type, set(exported) - mapped)
    print(exporter, sorted(mapped))


if __name__ == "__main__":
    main()
