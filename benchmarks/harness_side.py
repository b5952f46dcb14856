"""The other side of `harness.py`: lm-evaluation-harness, in an environment of its own.

It does not know rag-adapt. It reads prompts that are already rendered, runs them as a task of the
harness with its `hf` model at each batch size, and writes outputs as text and as tokens, prompt
tokens and seconds.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Final

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
TASK: Final = """
task: rendered_prompts
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: target
generation_kwargs:
  until: ["\\n"]
  max_gen_toks: {max_tokens}
  do_sample: false
metric_list:
  - metric: exact_match
"""


def evaluate(lm: Any, tasks: Any) -> dict[str, Any]:
    """One evaluation of all prompts; seconds are those of generation alone, the harness's best."""
    from lm_eval import simple_evaluate

    wall = cpu = 0.0
    inner = lm.generate_until

    def timed(*args: Any, **kwargs: Any) -> Any:
        nonlocal wall, cpu
        start, worked = time.perf_counter(), time.process_time()
        answers = inner(*args, **kwargs)
        wall += time.perf_counter() - start
        cpu += time.process_time() - worked
        return answers

    written: dict[tuple[int, ...], list[int]] = {}
    lm.generate_until = timed
    lm._model_generate = _noting(lm._model_generate, written)
    found = simple_evaluate(
        model=lm, tasks=["rendered_prompts"], task_manager=tasks, bootstrap_iters=0
    )
    lm.generate_until = inner
    samples = sorted(found["samples"]["rendered_prompts"], key=lambda sample: sample["doc_id"])
    prompts = [lm.tok_encode(sample["doc"]["prompt"]) for sample in samples]
    return {
        "seconds": wall,
        "cpu_seconds": cpu,
        "outputs": [sample["resps"][0][0] for sample in samples],
        "prompt_ids": prompts,
        "output_ids": [written[tuple(prompt)] for prompt in prompts],
    }


def _noting(generate: Any, written: dict[tuple[int, ...], list[int]]) -> Any:
    """The harness's call of the model, its tokens kept by prompt: it hands back text alone."""

    def noted(context: Any, max_length: int, stop: Any, **others: Any) -> Any:
        found = generate(context, max_length, stop, **others)
        masks, width = others["attention_mask"].bool(), context.shape[1]
        for prompt, mask, tokens in zip(context, masks, found, strict=True):
            written[tuple(prompt[mask].tolist())] = tokens[width:].tolist()
        return found

    return noted


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Every batch size in turn, each with the model loaded anew and warmed by two prompts."""
    import torch
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    torch.manual_seed(0)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        text = TASK.format(file=options.prompts.resolve(), max_tokens=options.max_tokens)
        (Path(folder) / "rendered_prompts.yaml").write_text(text)
        tasks = TaskManager(include_path=folder)
        for size in options.batch_sizes:
            lm = HFLM(
                pretrained=str(options.model), device="cpu", dtype=options.dtype, batch_size=size
            )
            warm = lm.tok_encode("warm up")
            lm.model.generate(torch.tensor([warm, warm]), max_new_tokens=2, do_sample=False)
            found[str(size)] = evaluate(lm, tasks)
    return found


def main() -> None:
    """Measure and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True, help="JSON lines: prompt, target")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--max-tokens", type=int, required=True)
    parser.add_argument("--batch-sizes", type=int, nargs="+", required=True)
    options = parser.parse_args()
    options.out.write_text(json.dumps(run(options)))


if __name__ == "__main__":
    main()
