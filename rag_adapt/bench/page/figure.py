"""A chart as it stands on the page: title, sentence, drawing, downloads.

It does not know what the chart shows.
"""

from rag_adapt.bench.page.charts import Chart
from rag_adapt.bench.page.markup import Html, csv_address, el, json_text
from rag_adapt.bench.page.wording import prose


def figure(chart: Chart) -> Html:
    """The figure; its data can be had without scripts, its drawing once it is drawn."""
    caption = el("figcaption", el("h4", chart.title), el("p", prose(chart.sentence)))
    drawing = el("div", class_="chart", aria_label=f"Chart: {chart.title}. {chart.sentence}")
    spec = el("script", json_text(chart.spec), type="application/json", class_="spec")
    return el("figure", caption, drawing, spec, _downloads(chart), data_file=chart.file)


def _downloads(chart: Chart) -> Html:
    columns = list(dict.fromkeys(name for row in chart.rows for name in row))
    data = csv_address(columns, ([row.get(name) for name in columns] for row in chart.rows))
    return el(
        "p",
        el("a", "Data (CSV)", href=data, download=f"{chart.file}.csv"),
        _save("SVG", chart),
        _save("PNG", chart),
        class_="downloads",
    )


def _save(kind: str, chart: Chart) -> Html:
    return el(
        "button",
        kind,
        type="button",
        class_="save",
        data_format=kind.lower(),
        aria_label=f"Save the chart {chart.title!r} as {kind}",
        hidden=True,
    )
