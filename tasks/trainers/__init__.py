"""Pure training code: the skip-gram backends behind one interface."""
