"""Indices of vegetation, one line each: formula, source, and the constants that differ."""

from geoml_ops.domain.features.catalogue.entry import Index, of

VEGETATION_N_TO_Z = of(
    "vegetation",
    {
        "ND705": Index("(RE2 - RE1) / (RE2 + RE1)", "10.1016/S0034-4257(02)00010-X"),
        "NDDI": Index(
            "((N - R) / (N + R) - (G - N) / (G + N)) / ((N - R) / (N + R) + (G - N) / (G + N))",
            "10.1029/2006GL029127",
        ),
        "NDGI": Index(
            "((lambdaN - lambdaR) / (lambdaN - lambdaG) * G + (1 - (lambdaN - lambdaR) / (lambdaN - lambdaG)) * "
            "N - R) / ((lambdaN - lambdaR) / (lambdaN - lambdaG) * G + (1 - (lambdaN - lambdaR) / (lambdaN - "
            "lambdaG)) * N + R)",
            "10.1016/j.rse.2019.03.028",
        ),
        "NDII": Index(
            "(N - S1) / (N + S1)",
            "https://www.asprs.org/wp-content/uploads/pers/1983journal/jan/1983_jan_77-83.pdf",
        ),
        "NDMI": Index("(N - S1) / (N + S1)", "10.1016/S0034-4257(01)00318-2"),
        "NDPI": Index(
            "(N - (alpha * R + (1 - alpha) * S1)) / (N + (alpha * R + (1 - alpha) * S1))",
            "10.1016/j.rse.2017.04.031",
            {"alpha": 0.74},
        ),
        "NDREI": Index("(N - RE1) / (N + RE1)", "10.1016/1011-1344(93)06963-4"),
        "NDTI4RE": Index(
            "gamma * (S1 - S2) / (S1 + S2) + (1 - gamma) * (N - RE3) / (N + RE3)",
            "10.1016/j.jag.2022.102793",
        ),
        "NDTillI": Index(
            "(S1 - S2) / (S1 + S2)",
            "https://www.asprs.org/wp-content/uploads/pers/1997journal/jan/1997_jan_87-93.pdf",
        ),
        "NDVI": Index("(N - R) / (N + R)", "https://ntrs.nasa.gov/citations/19740022614"),
        "NDVI4RE": Index(
            "(alpha * RE3 + (1 - alpha) * RE2 - (beta * R + (1 - beta) * RE1)) / (alpha * RE3 + (1 - alpha) * "
            "RE2 + (beta * R + (1 - beta) * RE1))",
            "10.1016/j.jag.2022.102793",
        ),
        "NDVI705": Index("(RE2 - RE1) / (RE2 + RE1)", "10.1016/S0176-1617(11)81633-0"),
        "NDYI": Index("(G - B) / (G + B)", "10.1016/j.rse.2016.06.016"),
        "NGRDI": Index("(G - R) / (G + R)", "10.1016/0034-4257(79)90013-0"),
        "NIRv": Index("(N - R) / (N + R) * N", "10.1126/sciadv.1602244"),
        "NIRvH2": Index("N - R - k * (lambdaN - lambdaR)", "10.1016/j.rse.2021.112723"),
        "NLI": Index("(N ** 2 - R) / (N ** 2 + R)", "10.1080/02757259409532252"),
        "NMDI": Index("(N - (S1 - S2)) / (N + (S1 - S2))", "10.1029/2007GL031021"),
        "NPCI": Index("(R - A) / (R + A)", "10.1016/0034-4257(94)90136-8"),
        "NRFIg": Index("(G - S2) / (G + S2)", "10.3390/rs13010105"),
        "NRFIr": Index("(R - S2) / (R + S2)", "10.3390/rs13010105"),
        "NormG": Index("G / (N + G + R)", "10.2134/agronj2004.0314"),
        "NormNIR": Index("N / (N + G + R)", "10.2134/agronj2004.0314"),
        "NormR": Index("R / (N + G + R)", "10.2134/agronj2004.0314"),
        "OCVI": Index("N / G * (R / G) ** cexp", "10.1007/s11119-008-9075-z"),
        "OSAVI": Index("(N - R) / (N + R + 0.16)", "10.1016/0034-4257(95)00186-7"),
        "PSRI": Index("(R - B) / RE2", "10.1034/j.1399-3054.1999.106119.x"),
        "RCC": Index("R / (R + G + B)", "10.1016/0034-4257(87)90088-5"),
        "RDVI": Index("(N - R) / (N + R) ** 0.5", "10.1016/0034-4257(94)00114-3"),
        "REDSI": Index("((705 - 665) * (RE3 - R) - (783 - 665) * (RE1 - R)) / (2 * R)", "10.3390/s18030868"),
        "RENDVI": Index("(RE2 - RE1) / (RE2 + RE1)", "10.1016/S0176-1617(11)81633-0"),
        "RGBVI": Index("(G ** 2 - B * R) / (G ** 2 + B * R)", "10.1016/j.jag.2015.02.012"),
        "RGRI": Index("R / G", "10.1016/j.jag.2014.03.018"),
        "RI": Index("(R - G) / (R + G)", "https://www.documentation.ird.fr/hor/fdi:34390"),
        "RVI": Index("RE2 / R", "10.2134/agronj1968.00021962006000060016x"),
        "RVI4RE": Index(
            "(alpha * RE3 + (1 - alpha) * RE2) / (beta * R + (1 - beta) * RE1)", "10.1016/j.jag.2022.102793"
        ),
        "S2REP": Index("705 + 35 * (((RE3 + R) / 2 - RE1) / (RE2 - RE1))", "10.1016/j.isprsjprs.2013.04.007"),
        "SARVI": Index("(1 + L) * (N - (R - (R - B))) / (N + (R - (R - B)) + L)", "10.1109/36.134076", {"L": 0.5}),
        "SAVI": Index("(1 + L) * (N - R) / (N + R + L)", "10.1016/0034-4257(88)90106-X", {"L": 0.5}),
        "SAVI2": Index("N / (R + slb / sla)", "10.1080/01431169008955053"),
        "SAVI4RE": Index(
            "2 * (alpha * RE3 + (1 - alpha) * RE2 - (beta * R + (1 - beta) * RE1)) / (alpha * RE3 + (1 - alpha) "
            "* RE2 + (beta * R + (1 - beta) * RE1 + 1))",
            "10.1016/j.jag.2022.102793",
        ),
        "SEVI": Index("N / R + fdelta * (1 / R)", "10.1080/17538947.2018.1495770"),
        "SI": Index(
            "((1 - B) * (1 - G) * (1 - R)) ** (1 / 3)",
            "http://citeseerx.ist.psu.edu/viewdoc/download?doi=10.1.1.465.8749&rep=rep1&type=pdf",
        ),
        "SIPI": Index("(N - A) / (N - R)", "https://eurekamag.com/research/009/395/009395053.php"),
        "SLAVI": Index(
            "N / (R + S2)",
            "https://www.asprs.org/wp-content/uploads/pers/2000journal/february/2000_feb_183-191.pdf",
        ),
        "SNDTI": Index("(1 + L) * (S1 - S2) / (S1 + S2 + L)", "10.1080/22797254.2017.1418186", {"L": 0.5}),
        "SNDTI4RE": Index(
            "gamma * ((S1 - S2) * 2) / (S1 + S2 + 1) + (1 - gamma) * ((N - RE3) * 2) / (N + RE3 + 1)",
            "10.1016/j.jag.2022.102793",
        ),
        "SR": Index("N / R", "10.2307/1936256"),
        "SR2": Index("N / G", "10.1080/01431169308904370"),
        "SR3": Index("N2 / (G * RE1)", "10.1016/S0034-4257(98)00046-7"),
        "SR555": Index("RE2 / G", "10.1016/S0176-1617(11)81633-0"),
        "SR705": Index("RE2 / RE1", "10.1016/S0176-1617(11)81633-0"),
        "SRVI": Index("(2 * N - 3 * R) / (N + R + 0.5 * (G + S1))", "10.1038/s41598-025-34720-x"),
        "STI": Index("S1 / S2", "https://www.asprs.org/wp-content/uploads/pers/1997journal/jan/1997_jan_87-93.pdf"),
        "STI4RE": Index("gamma * S1 / S2 + (1 - gamma) * N / RE3", "10.1016/j.jag.2022.102793"),
        "SeLI": Index("(N2 - RE1) / (N2 + RE1)", "10.3390/s19040904"),
        "TCARI": Index("3 * (RE1 - R - 0.2 * (RE1 - G) * (RE1 / R))", "10.1016/S0034-4257(02)00018-4"),
        "TCARIOSAVI": Index(
            "3 * (RE1 - R - 0.2 * (RE1 - G) * (RE1 / R)) / (1.16 * (N - R) / (N + R + 0.16))",
            "10.1016/S0034-4257(02)00018-4",
        ),
        "TCARIOSAVI705": Index(
            "3 * (RE2 - RE1 - 0.2 * (RE2 - G) * (RE2 / RE1)) / (1.16 * (RE2 - RE1) / (RE2 + RE1 + 0.16))",
            "10.1016/j.agrformet.2008.03.005",
        ),
        "TCI": Index("1.2 * (RE1 - G) - 1.5 * (R - G) * (RE1 / R) ** 0.5", "10.1109/TGRS.2007.904836"),
        "TDVI": Index("1.5 * ((N - R) / (N ** 2 + R + 0.5) ** 0.5)", "10.1109/IGARSS.2002.1026867"),
        "TGI": Index("-0.5 * (190 * (R - G) - 120 * (R - B))", "10.1016/j.jag.2012.07.020"),
        "TRRVI": Index("(RE2 - R) / (RE2 + R) / ((N - R) / (N + R) + 1)", "10.3390/rs12152359"),
        "TSAVI": Index("sla * (N - sla * R - slb) / (sla * N + R - sla * slb)", "10.1109/IGARSS.1989.576128"),
        "TTVI": Index("0.5 * ((865 - 740) * (RE3 - RE2) - (N2 - RE2) * (783 - 740))", "10.3390/rs12010016"),
        "TVI": Index("((N - R) / (N + R) + 0.5) ** 0.5", "https://ntrs.nasa.gov/citations/19740022614"),
        "TriVI": Index("0.5 * (120 * (N - G) - 200 * (R - G))", "10.1016/S0034-4257(00)00197-8"),
        "VARI": Index("(G - R) / (G + R - B)", "10.1016/S0034-4257(01)00289-9"),
        "VARI700": Index("(RE1 - 1.7 * R + 0.7 * B) / (RE1 + 1.3 * R - 1.3 * B)", "10.1016/S0034-4257(01)00289-9"),
        "VI700": Index("(RE1 - R) / (RE1 + R)", "10.1016/S0034-4257(01)00289-9"),
        "VIG": Index("(G - R) / (G + R)", "10.1016/S0034-4257(01)00289-9"),
        "WCI1": Index(
            "-1 * ((B - R + RE1) / (B + R + RE1 + epsilon)) * ((G + R) / (B + N + epsilon))",
            "10.1016/j.mlwa.2026.100914",
            {"epsilon": 0.0},
        ),
        "WCI2": Index(
            "-1 * ((B + G + RE1) / (R + epsilon)) * ((B + R + RE1) / (N + epsilon))",
            "10.1016/j.mlwa.2026.100914",
            {"epsilon": 0.0},
        ),
        "WDRVI": Index("(alpha * N - R) / (alpha * N + R)", "10.1078/0176-1617-01176"),
        "WDVI": Index("N - sla * R", "10.1016/0034-4257(89)90076-X"),
        "sNIRvLSWI": Index("(N - S2) / (N + S2) * N", "10.1029/2024JG008240"),
        "sNIRvNDPI": Index(
            "(N - (alpha * R + (1 - alpha) * S2)) / (N + (alpha * R + (1 - alpha) * S2)) * N",
            "10.1029/2024JG008240",
            {"alpha": 0.74},
        ),
        "sNIRvNDVILSWIP": Index("(N - R) / (N + R) * ((N - S2) / (N + S2)) * N", "10.1029/2024JG008240"),
        "sNIRvNDVILSWIS": Index("((N - R) / (N + R) + (N - S2) / (N + S2)) * N", "10.1029/2024JG008240"),
        "sNIRvSWIR": Index("(N - R - S2 ** 2) / (N + R + S2 ** 2) * N", "10.1029/2024JG008240"),
    },
)
