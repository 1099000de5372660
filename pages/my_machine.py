"""My machine: from recordings of one's own machine to detectors that listen to it, in five steps."""

from __future__ import annotations

from pages.parts.my_machine.alarm import alarm_step
from pages.parts.my_machine.enough import enough_step
from pages.parts.my_machine.header import header
from pages.parts.my_machine.listen import listen_step
from pages.parts.my_machine.sound import sound_step
from pages.parts.my_machine.steps import draw_steps
from pages.parts.my_machine.subject import choose_subject
from pages.parts.my_machine.training import follow_trainings, train_step
from pages.shared.frame import open_page

with open_page("pages/my_machine.py") as chosen:
    subject = choose_subject(chosen)
    header(subject)
    follow_trainings(subject)
    draw_steps(
        subject,
        {
            "sound": sound_step,
            "enough": enough_step,
            "train": train_step,
            "alarm": alarm_step,
            "listen": listen_step,
        },
    )
