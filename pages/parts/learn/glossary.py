"""The glossary of the learn page."""

from __future__ import annotations

import streamlit as st

GLOSSARY = {
    "Anomaly score": (
        "How anomalous a clip sounds to a detector: the higher, the more. It has no unit and cannot be compared "
        "between detectors."
    ),
    "AUC": (
        "Area under the ROC: the chance that an anomalous clip gets a higher score than a normal one. 0.5 is "
        "guessing, 1 is perfect; no threshold is needed."
    ),
    "Autoencoder": (
        "A network that squeezes its input through a narrow place and rebuilds it. It rebuilds well what it was "
        "trained on."
    ),
    "Confidence interval": (
        "The range in which a figure would likely lie had other clips been recorded. Few clips give a wide interval."
    ),
    "Conformal threshold": (
        "A threshold placed among the scores of held-out normal clips so that a new normal clip exceeds it with at "
        "most the promised chance, whatever the scores look like; also called split-conformal. The promise is an "
        "average over many trainings, and it holds for new recordings of the same machine, microphone and place: not "
        "for another machine or a microphone that was moved."
    ),
    "Cross-fitting": (
        "Fitting a detector several times, each time without one part of the recordings, and scoring that part: every "
        "normal clip gets a held-out score and none is lost to training. The detector that is kept is fitted on all."
    ),
    "Detection rate": "Of the anomalous clips, the share that is found; also true-positive rate (TPR) or recall.",
    "Decibel (dB)": (
        "A level on a logarithmic scale: 10 dB more is ten times the power. dBFS counts from the loudest that a "
        "file can hold."
    ),
    "Decision value": (
        "What the one-class SVM computes: above 0 inside its boundary, below 0 outside. The anomaly score is the "
        "same with its sign turned."
    ),
    "Epoch": "One pass of a network's training over its windows.",
    "Error spectrum": (
        "A network's error in each frequency band, as the mean over a clip. Its distance from the error spectra of "
        "normal clips is a score that also says which bands are strange."
    ),
    "F1": "One number for precision and recall together: their harmonic mean.",
    "False alarm": "A normal clip that is called anomalous.",
    "False-alarm rate": "Of the normal clips, the share that is called anomalous; also false-positive rate (FPR).",
    "Frame": "A short stretch of sound whose spectrum is taken at once: here 64 ms, a new one every 32 ms.",
    "Held-out": (
        "Normal clips scored by a detector that has not learned from them, nor from the recordings that they were cut "
        "from: they show how it scores normal sound that is new to it. They are kept aside in training, or scored in "
        "turn by cross-fitting."
    ),
    "Log-mel": (
        "A spectrum over frequency bands that are narrow below and wide above, as the ear hears, with levels in dB."
    ),
    "Machine id": "One single machine. Two machines of a kind sound different even when both are healthy.",
    "Miss": "An anomalous clip that is called normal.",
    "Normal spread": (
        "How much a value varies where all is normal: its standard deviation over normal sound. Two spreads above "
        "normal happen now and then, ten do not."
    ),
    "One-class SVM": "A model that draws a boundary around normal examples only.",
    "Overfitting": "Learning the training clips by heart instead of what they have in common.",
    "Patch": "0.96 s of sound, which an encoder turns into 128 numbers.",
    "pAUC": (
        "The AUC of the left end of the ROC only, where false alarms are rare (at most 10 %): the part that matters "
        "in practice."
    ),
    "Precision": "Of the clips called anomalous, the share that is.",
    "Principal component": "A direction in which points differ most. Two of them make a plane to draw on.",
    "Provisional threshold": (
        "A threshold from too few held-out clips for a promised false-alarm rate, such as one just above the highest "
        "of their scores. It is to be set again once there are more recordings."
    ),
    "Recall": "The same as the detection rate: of the anomalous clips, the share that is found.",
    "Recording": (
        "One stretch of sound as it was taken in one go, from which clips are cut. Clips of one recording resemble "
        "each other, so that many of them tell less about new sound than as many recordings."
    ),
    "ROC": "The curve of the detection rate over the false-alarm rate as the threshold moves from high to low.",
    "Standardising": "Subtracting a number's training mean and dividing by its training standard deviation.",
    "Support vector": "A training clip that holds the boundary of an SVM.",
    "Threshold": "The score from which on a clip is called anomalous.",
    "Trivial number": (
        "One number taken from a clip's samples without any training, such as its level. What it reaches on test clips "
        "is no achievement of a detector."
    ),
    "Window": "A few successive frames that a network sees at once: here ten, 0.32 s.",
}


def glossary() -> None:
    """List the terms in alphabetical order, in two columns on a wide screen."""
    st.subheader("Glossary")
    terms = sorted(GLOSSARY.items(), key=lambda item: item[0].lower())
    half = (len(terms) + 1) // 2
    for column, part in zip(st.columns(2), (terms[:half], terms[half:]), strict=True):
        column.markdown("\n\n".join(f"**{term}.** {words}" for term, words in part))
