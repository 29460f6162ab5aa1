/* Links of both kinds in a directory, in the place of what has the name, at once. Blocking. */
#ifndef FERRY_TREE_PLACE_H
#define FERRY_TREE_PLACE_H

/* -EISDIR: a directory has the name. */
int ferry_place_symlink(int dir, const char *name, const char *target);
/* Another name of the open file fd (O_PATH is enough). */
int ferry_place_link(int dir, const char *name, int fd);

#endif
