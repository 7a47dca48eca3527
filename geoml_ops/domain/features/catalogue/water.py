"""Indices of water, snow and ice, one line each: formula, source, and the constants that differ."""

from geoml_ops.domain.features.catalogue.entry import Index, of

WATER = of(
    "water",
    {
        "ANDWI": Index("(B + G + R - N - S1 - S2) / (B + G + R + N + S1 + S2)", "10.1016/j.envsoft.2021.105030"),
        "AWEInsh": Index("4 * (G - S1) - 0.25 * N + 2.75 * S2", "10.1016/j.rse.2013.08.029"),
        "AWEIsh": Index("B + 2.5 * G - 1.5 * (N + S1) - 0.25 * S2", "10.1016/j.rse.2013.08.029"),
        "FAI": Index("N - (R + (S1 - R) * ((lambdaN - lambdaR) / (lambdaS1 - lambdaR)))", "10.1016/j.rse.2009.05.012"),
        "FDI": Index(
            "N - (RE2 + 10 * (S1 - RE2) * (lambdaN - lambdaR) / (lambdaS1 - lambdaR))",
            "10.1038/s41598-020-62298-z",
        ),
        "FWEI": Index("((B + G + R) / 3 - N) / ((B + G + R) / 3 + N)", "10.1007/s00477-024-02660-z"),
        "LSWI": Index("(N - S1) / (N + S1)", "10.1016/j.rse.2003.11.008"),
        "MBWI": Index("omega * G - R - N - S1 - S2", "10.1016/j.jag.2018.01.018"),
        "MLSWI26": Index("(1 - N - S1) / (1 - N + S1)", "10.3390/rs71215805"),
        "MLSWI27": Index("(1 - N - S2) / (1 - N + S2)", "10.3390/rs71215805"),
        "MNDWI": Index("(G - S1) / (G + S1)", "10.1080/01431160600589179"),
        "MuWIR": Index(
            "-4 * ((B - G) / (B + G)) + 2 * ((G - N) / (G + N)) + 2 * ((G - S2) / (G + S2)) - (G - S1) / (G + S1)",
            "10.3390/rs10101643",
        ),
        "NDCI": Index("(RE1 - R) / (RE1 + R)", "10.1016/j.rse.2011.10.016"),
        "NDPonI": Index("(S1 - G) / (S1 + G)", "10.1016/j.rse.2006.07.012"),
        "NDTI": Index("(R - G) / (R + G)", "10.1016/j.rse.2006.07.012"),
        "NDVIMNDWI": Index("(N - R) / (N + R) - (G - S1) / (G + S1)", "10.1007/978-3-662-45737-5_51"),
        "NDWI": Index("(G - N) / (G + N)", "10.1080/01431169608948714"),
        "NDWIns": Index("(G - alpha * N) / (G + N)", "10.3390/w12051339"),
        "NWI": Index("(B - (N + S1 + S2)) / (B + (N + S1 + S2))", "10.11873/j.issn.1004-0323.2009.2.167"),
        "OSI": Index("(G + R) / B", "10.1016/j.mex.2021.101327"),
        "PI": Index("N / (N + R)", "10.3390/rs12162648"),
        "RNDVI": Index("(R - N) / (R + N)", "10.3390/rs12162648"),
        "RWI": Index(
            "(G ** (1 / 2.71828) * (1 / n) - S1) / (G ** (1 / 2.71828) * (1 / n) + S1)",
            "10.1109/JSTARS.2025.3562089",
        ),
        "S2WI": Index("(RE1 - S2) / (RE1 + S2)", "10.3390/w13121647"),
        "SCoWI": Index("B + 2 * (G - N) - 0.75 * S1 - 0.5 * S2", "10.3390/rs16152795"),
        "SRWI": Index("(G + B - (N + S1)) / (G + B + (N + S1))", "10.1038/s41598-025-34720-x"),
        "SWM": Index("(B + G) / (N + S1)", "https://eoscience.esa.int/landtraining2017/files/posters/MILCZAREK.pdf"),
        "TWI": Index(
            "2.84 * (RE1 - RE2) / (G + S2) + (1.25 * (G - B) - (N - B)) / (N + 1.25 * G - 0.25 * B)",
            "10.3390/rs14215289",
        ),
        "WI1": Index("(G - S2) / (G + S2)", "10.3390/rs11182186"),
        "WI2": Index("(B - S2) / (B + S2)", "10.3390/rs11182186"),
        "WI2015": Index("1.7204 + 171 * G + 3 * R - 70 * N - 45 * S1 - 71 * S2", "10.1016/j.rse.2015.12.055"),
        "WRI": Index("(G + R) / (N + S1)", "10.1109/GEOINFORMATICS.2010.5567762"),
    },
)

SNOW = of(
    "snow",
    {
        "NBSIMS": Index("0.36 * (G + R + N) - ((B + S2) / G + S1)", "10.3390/rs13142777"),
        "NDGlaI": Index("(G - R) / (G + R)", "10.1080/01431160802385459"),
        "NDSI": Index("(G - S1) / (G + S1)", "10.1109/IGARSS.1994.399618"),
        "NDSII": Index("(G - N) / (G + N)", "10.1080/01431160802385459"),
        "NDSIITM": Index("(R - S1) / (R + S1)", "10.1080/01431160119766"),
        "NDSInw": Index("(N - S1 - beta) / (N + S1)", "10.3390/w12051339"),
        "NDSaII": Index("(R - S1) / (R + S1)", "10.1080/01431160119766"),
        "S3": Index("N * (R - S1) / ((N + R) * (N + S1))", "10.3178/jjshwr.12.28"),
        "SWI": Index("G * (N - S1) / ((G + N) * (N + S1))", "10.3390/rs11232774"),
    },
)
