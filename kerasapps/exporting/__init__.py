"""Networks in files that run without this package: conversion, and the comparison that proves it."""
