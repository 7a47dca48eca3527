"""Indices of bare and built-up ground, one line each: formula, source, and the constants that differ."""

from geoml_ops.domain.features.catalogue.entry import Index, of

SOIL = of(
    "soil",
    {
        "BI": Index(
            "(S1 + R - (N + B)) / (S1 + R + (N + B))",
            "http://citeseerx.ist.psu.edu/viewdoc/download?doi=10.1.1.465.8749&rep=rep1&type=pdf",
        ),
        "BITM": Index("((B ** 2 + G ** 2 + R ** 2) / 3) ** 0.5", "10.1016/S0034-4257(98)00030-3"),
        "BIXS": Index("((G ** 2 + R ** 2) / 2) ** 0.5", "10.1016/S0034-4257(98)00030-3"),
        "BaI": Index("R + S1 - N", "10.1109/IGARSS.2005.1525743"),
        "DBSI": Index("(S1 - G) / (S1 + G) - (N - R) / (N + R)", "10.3390/land7030081"),
        "EMBI": Index(
            "((S1 - S2 - N) / (S1 + S2 + N) + 0.5 - (G - S1) / (G + S1) - 0.5) / ((S1 - S2 - N) / (S1 + S2 + N) "
            "+ 0.5 + (G - S1) / (G + S1) + 1.5)",
            "10.1016/j.jag.2022.102703",
        ),
        "MBI": Index("(S1 - S2 - N) / (S1 + S2 + N) + 0.5", "10.3390/land10030231"),
        "NBLI": Index("(R - T) / (R + T)", "10.3390/rs9030249"),
        "NBLIOLI": Index("(R - T1) / (R + T1)", "10.3390/rs9030249"),
        "NDBaI": Index("(S1 - T) / (S1 + T)", "10.1109/IGARSS.2005.1526319"),
        "NDSIWV": Index(
            "(G - Y) / (G + Y)",
            "https://www.semanticscholar.org/paper/Using-WorldView-2-Vis-NIR-MSI-Imagery-to-Support-Wolf/5e5063ccc4ee76b56b721c866e871d47a77f9fb4",
        ),
        "NDSoI": Index("(S2 - G) / (S2 + G)", "10.1016/j.jag.2015.02.010"),
        "NSDS": Index("(S1 - S2) / (S1 + S2)", "10.3390/land10030231"),
        "NSDSI1": Index("(S1 - S2) / S1", "10.1016/j.isprsjprs.2019.06.012"),
        "NSDSI2": Index("(S1 - S2) / S2", "10.1016/j.isprsjprs.2019.06.012"),
        "NSDSI3": Index("(S1 - S2) / (S1 + S2)", "10.1016/j.isprsjprs.2019.06.012"),
        "RI4XS": Index("R ** 2 / G ** 4", "10.1016/S0034-4257(98)00030-3"),
    },
)

URBAN = of(
    "urban",
    {
        "BLFEI": Index("((G + R + S2) / 3 - S1) / ((G + R + S2) / 3 + S1)", "10.1080/10106049.2018.1497094"),
        "BRBA": Index("R / S1", "https://www.omicsonline.org/scientific-reports/JGRS-SR136.pdf"),
        "DBI": Index("(B - T1) / (B + T1) - (N - R) / (N + R)", "10.3390/land7030081"),
        "EBBI": Index("(S1 - N) / (10 * (S1 + T) ** 0.5)", "10.3390/rs4102957"),
        "IBI": Index(
            "((S1 - N) / (S1 + N) - ((N - R) * (1 + L) / (N + R + L) + (G - S1) / (G + S1)) / 2) / ((S1 - N) / "
            "(S1 + N) + ((N - R) * (1 + L) / (N + R + L) + (G - S1) / (G + S1)) / 2)",
            "10.1080/01431160802039957",
            {"L": 0.5},
        ),
        "NBAI": Index("(S2 - S1 / G) / (S2 + S1 / G)", "https://www.omicsonline.org/scientific-reports/JGRS-SR136.pdf"),
        "NBUI": Index(
            "(S1 - N) / (10 * (T + S1) ** 0.5) - (N - R) * (1 + L) / (N - R + L) - (G - S1) / (G + S1)",
            "https://hdl.handle.net/1959.11/29500",
            {"L": 0.5},
        ),
        "NDBI": Index("(S1 - N) / (S1 + N)", "10.1080/01431160304987"),
        "NDISIb": Index("(T - (B + N + S1) / 3) / (T + (B + N + S1) / 3)", "10.14358/PERS.76.5.557"),
        "NDISIg": Index("(T - (G + N + S1) / 3) / (T + (G + N + S1) / 3)", "10.14358/PERS.76.5.557"),
        "NDISImndwi": Index(
            "(T - ((G - S1) / (G + S1) + N + S1) / 3) / (T + ((G - S1) / (G + S1) + N + S1) / 3)",
            "10.14358/PERS.76.5.557",
        ),
        "NDISIndwi": Index(
            "(T - ((G - N) / (G + N) + N + S1) / 3) / (T + ((G - N) / (G + N) + N + S1) / 3)",
            "10.14358/PERS.76.5.557",
        ),
        "NDISIr": Index("(T - (R + N + S1) / 3) / (T + (R + N + S1) / 3)", "10.14358/PERS.76.5.557"),
        "NHFD": Index(
            "(RE1 - A) / (RE1 + A)",
            "https://www.semanticscholar.org/paper/Using-WorldView-2-Vis-NIR-MSI-Imagery-to-Support-Wolf/5e5063ccc4ee76b56b721c866e871d47a77f9fb4",
        ),
        "PISI": Index("0.8192 * B - 0.5735 * N + 0.075", "10.3390/rs10101521"),
        "UI": Index("(S2 - N) / (S2 + N)", "https://www.isprs.org/proceedings/XXXI/congress/part7/321_XXXI-part7.pdf"),
        "VIBI": Index("(N - R) / (N + R) / ((N - R) / (N + R) + (S1 - N) / (S1 + N))", "10.1080/01431161.2012.687842"),
        "VgNIRBI": Index("(G - N) / (G + N)", "10.1016/j.ecolind.2015.03.037"),
        "VrNIRBI": Index("(R - N) / (R + N)", "10.1016/j.ecolind.2015.03.037"),
    },
)
