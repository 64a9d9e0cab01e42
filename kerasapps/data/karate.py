"""Zachary's karate club: 34 members, who met outside the club, and how it split after a quarrel.

Members have the numbers of the paper: 1 is the instructor, 34 the officer who opposed him.

References: Zachary, "An Information Flow Model for Conflict and Fission in Small Groups", Journal of Anthropological
Research 1977; the four communities are those of the highest modularity, 0.4198, by Brandes et al., "On Modularity
Clustering", IEEE TKDE 2008.
"""

MEMBERS = range(1, 35)
# Who met whom, each pair once.
MET = {
    1: (2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 18, 20, 22, 32),
    2: (3, 4, 8, 14, 18, 20, 22, 31),
    3: (4, 8, 9, 10, 14, 28, 29, 33),
    4: (8, 13, 14),
    5: (7, 11),
    6: (7, 11, 17),
    7: (17,),
    9: (31, 33, 34),
    10: (34,),
    14: (34,),
    15: (33, 34),
    16: (33, 34),
    19: (33, 34),
    20: (34,),
    21: (33, 34),
    23: (33, 34),
    24: (26, 28, 30, 33, 34),
    25: (26, 28, 32),
    26: (32,),
    27: (30, 34),
    28: (34,),
    29: (32, 34),
    30: (33, 34),
    31: (33, 34),
    32: (33, 34),
    33: (34,),
}
# Whom each member followed after the split.
FACTIONS = {
    "instructor": (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 17, 18, 20, 22),
    "officer": (10, 15, 16, 19, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34),
}
COMMUNITIES = {
    "instructor": (1, 2, 3, 4, 8, 12, 13, 14, 18, 20, 22),
    "students": (5, 6, 7, 11, 17),
    "officer": (9, 10, 15, 16, 19, 21, 23, 27, 30, 31, 33, 34),
    "bridge": (24, 25, 26, 28, 29, 32),
}
