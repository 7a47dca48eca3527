"""Indices of burnt ground, and of clouds, one line each: formula, source, and the constants that differ."""

from geoml_ops.domain.features.catalogue.entry import Index, of

BURN = of(
    "burn",
    {
        "BAI": Index(
            "1 / ((0.1 - R) ** 2 + (0.06 - N) ** 2)",
            "https://digital.csic.es/bitstream/10261/6426/1/Martin_Isabel_Serie_Geografica.pdf",
        ),
        "BAIM": Index("1 / (0.05 - N) ** 2 + (0.2 - S2) ** 2", "10.1016/j.foreco.2006.08.248"),
        "BAIS2": Index(
            "(1 - (RE2 * RE3 * N2 / R) ** 0.5) * ((S2 - N2) / (S2 + N2) ** 0.5 + 1)", "10.3390/ecrs-2-05177"
        ),
        "CSI": Index("N / S2", "10.1016/j.rse.2005.04.014"),
        "CSIT": Index("N / (S2 * T / 10000)", "10.1080/01431160600954704"),
        "MIRBI": Index("10 * S2 - 9.8 * S1 + 2", "10.1080/01431160110053185"),
        "NBR": Index("(N - S2) / (N + S2)", "10.3133/ofr0211"),
        "NBR2": Index(
            "(S1 - S2) / (S1 + S2)",
            "https://www.usgs.gov/core-science-systems/nli/landsat/landsat-normalized-burn-ratio-2",
        ),
        "NBRSWIR": Index("(S2 - S1 - 0.02) / (S2 + S1 + 0.1)", "10.1080/22797254.2020.1738900"),
        "NBRT1": Index("(N - S2 * T / 10000) / (N + S2 * T / 10000)", "10.1080/01431160500239008"),
        "NBRT2": Index("(N / (T / 10000) - S2) / (N / (T / 10000) + S2)", "10.1080/01431160500239008"),
        "NBRT3": Index("(N - T / 10000 - S2) / (N - T / 10000 + S2)", "10.1080/01431160500239008"),
        "NBRplus": Index("(S2 - N2 - G - B) / (S2 + N2 + G + B)", "10.3390/rs14071727"),
        "NDSWIR": Index("(N - S1) / (N + S1)", "10.1109/TGRS.2003.819190"),
        "NDVIT": Index("(N - R * T / 10000) / (N + R * T / 10000)", "10.1080/01431160600954704"),
        "NSTv1": Index("(N - S2) / (N + S2) * T", "10.1016/j.rse.2011.06.010"),
        "NSTv2": Index("(N - (S2 + T)) / (N + (S2 + T))", "10.1016/j.rse.2011.06.010"),
        "SAVIT": Index(
            "(1 + L) * (N - R * T / 10000) / (N + R * T / 10000 + L)", "10.1080/01431160600954704", {"L": 0.5}
        ),
        "VI6T": Index("(N - T / 10000) / (N + T / 10000)", "10.1080/01431160500239008"),
    },
)

CLOUDS = of(
    "clouds",
    {
        "CI1SWIR": Index("(N + 2 * S1) / (B + G + R)", "10.1016/j.isprsjprs.2018.07.006"),
        "CI1woSWIR": Index("3 * N / (B + G + R)", "10.1016/j.isprsjprs.2018.07.006"),
        "CI2SWIR": Index("(B + G + R + N + S1 + S2) / 6", "10.1016/j.isprsjprs.2018.07.006"),
        "CI2woSWIR": Index("(B + G + R + N) / 4", "10.1016/j.isprsjprs.2018.07.006"),
        "CLOSDI": Index("(1 - 1.5 * N - 0.1 * R) / (1 + 3.5 * N + 4.9 * R)", "10.1016/j.rsase.2026.101990"),
        "CSISWIR": Index("(N + S1) / 2", "10.1016/j.isprsjprs.2018.07.006"),
        "CSIwoSWIR": Index("N", "10.1016/j.isprsjprs.2018.07.006"),
    },
)
