"""Radar and kernel indices, one line each: formula, source, and the constants that differ.

Radar indices are of backscatter in linear power. Kernels are RBF with a width of half the sum of the two bands:
``k(a, b) = exp(-(a - b)^2 / (2 sigma^2))`` with ``sigma = (a + b) / 2`` (Camps-Valls et al. 2021).
"""

from geoml_ops.domain.features.catalogue.entry import Index, of

RADAR_INDICES = of(
    "radar",
    {
        "DPDD": Index("(VV + VH) / 2 ** 0.5", "10.1016/j.rse.2018.09.003"),
        "DpRVIHH": Index("4 * HV / (HH + HV)", "https://www.tandfonline.com/doi/abs/10.5589/m12-043"),
        "DpRVIVV": Index("4 * VH / (VV + VH)", "10.3390/app9040655"),
        "NDPolI": Index("(VV - VH) / (VV + VH)", "https://www.isprs.org/proceedings/XXXVII/congress/4_pdf/267.pdf"),
        "QpRVI": Index("8 * HV / (HH + VV + 2 * HV)", "10.1109/IGARSS.2001.976856"),
        "RFDI": Index("(HH - HV) / (HH + HV)", "10.5194/bg-9-179-2012"),
        "VDDPI": Index("(VV + VH) / VV", "10.1016/j.rse.2018.09.003"),
        "VHVVD": Index("VH - VV", "10.3390/app9040655"),
        "VHVVP": Index("VH * VV", "10.1109/IGARSS47720.2021.9554099"),
        "VHVVR": Index("VH / VV", "10.1109/IGARSS47720.2021.9554099"),
        "VVVHD": Index("VV - VH", "10.1109/IGARSS47720.2021.9554099"),
        "VVVHR": Index("VV / VH", "10.3390/app9040655"),
        "VVVHS": Index("VV + VH", "10.1109/IGARSS47720.2021.9554099"),
    },
)

KERNEL = of(
    "kernel",
    {
        "kEVI": Index(
            "g * (1 - exp(-((N - R) / (N + R)) ** 2 * 2)) / (1 + C1 * exp(-((N - R) / (N + R)) ** 2 * 2) - C2 * "
            "exp(-((N - B) / (N + B)) ** 2 * 2) + exp(-((N - L) / (N + L)) ** 2 * 2))",
            "10.1126/sciadv.abc7447",
        ),
        "kIPVI": Index("1 / (1 + exp(-((N - R) / (N + R)) ** 2 * 2))", "10.1126/sciadv.abc7447"),
        "kNDVI": Index(
            "(1 - exp(-((N - R) / (N + R)) ** 2 * 2)) / (1 + exp(-((N - R) / (N + R)) ** 2 * 2))",
            "10.1126/sciadv.abc7447",
        ),
        "kRVI": Index("1 / exp(-((N - R) / (N + R)) ** 2 * 2)", "10.1126/sciadv.abc7447"),
        "kVARI": Index(
            "(1 - exp(-((G - R) / (G + R)) ** 2 * 2)) / (1 + exp(-((G - R) / (G + R)) ** 2 * 2) - exp(-((G - B) "
            "/ (G + B)) ** 2 * 2))",
            "10.1126/sciadv.abc7447",
        ),
    },
)
