"""A chart on a page: its title, how to read it, the drawing, its data to look at and to take along.

It does not know what the chart shows.
"""

import streamlit as st

from ui.plain import label
from ui.run_charts import Chart
from ui.wording import table_csv


def figure(chart: Chart, *, key: str) -> None:
    """The chart in the page's theme; its data stand below it, for those who cannot see it too.

    Args:
        chart: What is shown.
        key: Tells this figure from the page's others.
    """
    st.markdown(f"**{label(chart.title, most=200)}**")
    st.caption(label(chart.sentence, most=300))
    st.vega_lite_chart(spec=chart.drawing, width="stretch", key=f"{key}-chart", alt=chart.title)
    _data(chart, key)


@st.fragment
def _data(chart: Chart, key: str) -> None:
    """Made when it is opened: a table takes the browser as long as the drawing."""
    box = st.expander("Its data", key=f"{key}-data", on_change="rerun")
    if not box.open:
        return
    with box:
        st.dataframe(list(chart.rows), hide_index=True, alt=chart.title)
        st.download_button(
            "Download the data (CSV)",
            table_csv(chart.rows),
            file_name=chart.file,
            mime="text/csv",
            on_click="ignore",
            key=f"{key}-csv",
        )
