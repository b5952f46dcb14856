"""An adapter that was trained elsewhere: its files, whose route it shall serve, the job.

It does not know what makes an adapter fit; the service says what is wrong with one.
"""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from rag_adapt.client import Client, Upload
from rag_adapt.schemas.catalog import SkillInfo
from ui.job_watch import open_only

ARCHIVES: Final = ("zip", "tar", "gz", "tgz")
FILES: Final = ("json", "safetensors")
MOST: Final = 2


def upload_form(client: Client, skills: Sequence[SkillInfo]) -> None:
    """An archive of PEFT's folder, or its two files; `Upload` makes a job of it.

    Raises:
        ApiError: it is no adapter, or none for the base model that answers here.
    """
    st.caption(
        "A LoRA that PEFT wrote for the base model that answers here: one .zip, .tar or .tar.gz "
        "of its folder, or adapter_config.json and adapter_model.safetensors. It is checked "
        "before the upload is answered; a job probes it, and then it is current for its name."
    )
    names = [skill.name for skill in skills if skill.fault is None]
    with st.form("adapter-upload"):
        files = st.file_uploader(
            "Archive, or the two files", type=[*ARCHIVES, *FILES], accept_multiple_files=True
        )
        left, right = st.columns(2)
        name = left.text_input("Name of the adapter", help="Small letters, digits and hyphens.")
        skill = right.selectbox("Whose route it shall serve", names)
        context = st.toggle(
            "Trained with retrieved passages", help="Then it serves the route rag+lora."
        )
        sent = st.form_submit_button("Upload", type="primary")
    if not sent:
        return
    if not files or len(files) > MOST or not name or skill is None:
        st.warning("Choose one archive or the two files, name the adapter and choose a skill.")
        return
    sent_files = [Upload(name=file.name, content=file.getvalue()) for file in files]
    job = client.adapters.upload(sent_files, name=name, skill=skill, context=context)
    open_only("job", job.id)
