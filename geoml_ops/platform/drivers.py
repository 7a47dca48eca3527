"""GDAL with one format and no way out: what has to be in the environment before it is loaded.

GDAL reads the list of drivers to leave away once, when it is first loaded, so a process that strangers send files to
calls :func:`close_drivers` before anything imports rasterio. Pinning the driver of every file stays the first defence;
this is the second, for whatever one file may make GDAL open beside it. It is not whole: the first warped view brings
the driver of virtual rasters back (GDAL 3.10), and then the gate and the jail are what stands between.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

KEPT = ("GTiff", "COG", "MEM", "Memory", "JP2OpenJPEG")
"""GeoTIFF to read and write, JPEG 2000 where it is asked for, and memory."""
_NAMES = """
    AAIGrid, ACE2, ADRG, AIG, AirSAR, AIVector, AmigoCloud, Arrow, AVCBin, AVCE00, AVIF, BAG, BIGGIF, BLX, BMP, BSB,
    BT, BYN, CAD, CALS, Carto, CEOS, COASP, COSAR, CPG, CSV, CSW, CTable2, CTG, DAAS, DERIVED, DIMAP, DIPEx, DOQ1,
    DOQ2, DTED, DXF, ECRGTOC, EDIGEO, EEDA, EEDAI, EHdr, EIR, ELAS, Elasticsearch, ENVI, ERS, ESAT, ESRI Shapefile,
    ESRIC, ESRIJSON, FAST, FIT, FlatGeobuf, GDALG, GenBin, GeoJSON, GeoJSONSeq, GeoRSS, GFF, GIF, GML, GMLAS,
    GNMDatabase, GNMFile, GPKG, GPSBabel, GPX, GRASSASCIIGrid, GRIB, GS7BG, GSAG, GSBG, GSC, GTI, GTX, GXF, HANA,
    HDF5, HDF5Image, HEIF, HF2, HFA, HTTP, Idrisi, ILWIS, IRIS, ISCE, ISG, ISIS2, ISIS3, JAXAPALSAR, JDEM, JML,
    JP2ECW, JP2KAK, JP2Lura, JP2MrSID, JPEG, JPEGXL, JPIPKAK, KEA, KML, KMLSUPEROVERLAY, KRO, L1B, LAN, LCP,
    Leveller, LIBERTIFF, LIBKML, LOSLAS, LVBAG, MAP, MapInfo File, MapML, MBTiles, MFF, MFF2, MiraMonVector, MRF,
    MSGN, MSSQLSpatial, MVT, MySQL, NAS, NDF, netCDF, NGSGEOID, NGW, NITF, NOAA_B, NSIDCbin, NTv2, NWT_GRC, NWT_GRD,
    OAPIF, OCI, ODS, OGR_GMT, OGR_PDS, OGR_VRT, OPENFILEGDB, OpenFileGDB, OSM, OZI, Parquet, PAux, PCIDSK, PCRaster,
    PDF, PDS, PDS4, PGDUMP, PLMOSAIC, PMTiles, PNG, PNM, PostGISRaster, PostgreSQL, PRF, R, Rasterlite, RIK, RMF,
    ROI_PAC, RPFTOC, RRASTER, RS2, RST, S102, S104, S111, S57, SAFE, SAGA, SAR_CEOS, SDTS, Selafin, SENTINEL2, SGI,
    SIGDEM, SNAP_TIFF, SNODAS, SQLite, SRP, SRTMHGT, STACIT, STACTA, SXF, Terragen, TGA, TIL, TileDB, TopoJSON, TSX,
    UK .NTF, USGSDEM, VDV, VFK, VICAR, VRT, WAsP, WCS, WEBP, WFS, WMS, WMTS, XLS, XLSX, XODR, XPM, XYZ, Zarr, ZMap
"""
LEFT_AWAY = tuple(name.strip() for name in _NAMES.replace("\n", " ").split(","))
"""All other drivers of GDAL 3.10 to 3.12, raster and vector, built in or as plug-ins."""
CLOSED: Mapping[str, str] = {
    "GDAL_SKIP": ",".join(LEFT_AWAY),
    "GDAL_DRIVER_PATH": "disable",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_HTTP_CONNECTTIMEOUT": "1",
    "GDAL_HTTP_TIMEOUT": "1",
    "GDAL_HTTP_MAX_RETRY": "0",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "CPL_DEBUG": "OFF",
    # Of every name above that this build lacks GDAL 3.10 complains on its own channel; errors come as exceptions.
    "CPL_LOG": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "PROJ_NETWORK": "OFF",
}


def close_drivers() -> bool:
    """Sets the environment of this process; returns False where rasterio is loaded already and it comes too late.

    What was set before is overwritten: an open driver is not a preference.
    """
    os.environ.update(CLOSED)
    return "rasterio" not in sys.modules
