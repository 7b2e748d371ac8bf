"""Pure training code: the backends behind one interface."""
