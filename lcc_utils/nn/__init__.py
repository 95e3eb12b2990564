"""The network: attention block, loss, augmentation, classifier and training."""
